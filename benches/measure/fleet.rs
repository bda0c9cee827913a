//! Devices that enrol as devices do, and then sign in advance what they are going to say.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::try_join_all;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use plist::{Dictionary, Value};
use sandbox::Sandbox;
use sandbox::appliance::Appliance;
use sandbox::chance::Chance;
use sandbox::clock::Clock;
use sandbox::device::cms::{self, Digest, Signer, Style};
use sandbox::device::http::{Identity, Internet, Network};
use sandbox::device::profile::{Enrolment, Profile};
use sandbox::device::scep::{Client, ScepBehaviour};
use sandbox::device::{DeviceSpec, KeyPool, make_keys};
use sandbox::world::Wake;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::load::{Connection, Message, Talk, Target, command_uuid};

/// Different keys. One key gets one certificate from a profile, so a profile is for this many devices.
const KEYS: usize = 20;

/// One enrolled device.
pub struct Device {
    pub spec: DeviceSpec,
    identity: Identity,
    pub idle: Message,
    pub token_update: Message,
    /// Its pushes arrive, and are not looked at.
    _inbox: UnboundedReceiver<Wake>,
}

/// Enrols devices, each batch with a profile of its own.
pub async fn enrol(sandbox: &Sandbox, appliance: &Appliance, count: usize) -> anyhow::Result<(Target, Vec<Device>)> {
    let clock = Clock::real();
    let keys = make_keys(&clock, KEYS, Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-keys"))).await?;
    let file = appliance.config().with_file_name("enrolment.mobileconfig");
    let mut devices = Vec::with_capacity(count);
    loop {
        appliance.cli().make_profile(&file, KEYS as u64).await?;
        let profile = Profile::read(&std::fs::read(&file)?)?;
        let enrolment = profile.enrolment.as_ref().context("the profile does not enrol")?;
        let url: hyper::Uri = enrolment.mdm.server_url.parse()?;
        let target = Target::new(url.port_u16().context("the profile names no port")?, &profile.anchors)?;
        let world =
            World { clock: &clock, sandbox, enrolment, anchors: &profile.anchors, keys: &keys, target: &target };
        let batch = KEYS.min(count - devices.len());
        let specs = (0..batch).map(|place| DeviceSpec::nth(11, (devices.len() + place) as u64));
        devices.extend(try_join_all(specs.map(|spec| world.enrol(spec))).await?);
        if devices.len() == count {
            return Ok((target, devices));
        }
    }
}

struct World<'a> {
    clock: &'a Clock,
    sandbox: &'a Sandbox,
    enrolment: &'a Enrolment,
    anchors: &'a [Vec<u8>],
    keys: &'a KeyPool,
    target: &'a Target,
}

impl World<'_> {
    async fn enrol(&self, spec: DeviceSpec) -> anyhow::Result<Device> {
        let key = self.keys.take().context("the pool of keys is empty")?;
        let mut chance = Chance::seeded(spec.udid.bytes().fold(0, |sum, byte| sum.rotate_left(7) ^ u64::from(byte)));
        let session = Internet::new(self.clock.clone(), HashMap::new(), Vec::new()).session(self.anchors, None)?;
        let client = Client { session: session.as_ref(), clock: self.clock, behaviour: ScepBehaviour::default() };
        let identity = client.obtain(&self.enrolment.scep, key, &mut chance).await?;
        let token: Vec<u8> = (0..4).flat_map(|_| chance.next().to_be_bytes()).collect();
        let inbox = self.sandbox.inboxes.register(token.clone());
        let check_in = |kind: &str, keys: &[(&str, Value)]| {
            let own = [("MessageType", kind.into()), ("Topic", self.enrolment.mdm.topic.as_str().into())];
            sign(&identity, &spec, self.clock, "/checkin", own.iter().chain(keys))
        };
        let authenticate = check_in(
            "Authenticate",
            &[
                ("OSVersion", spec.os_version.as_str().into()),
                ("BuildVersion", spec.build_version.as_str().into()),
                ("ProductName", spec.product.as_str().into()),
                ("SerialNumber", spec.serial.as_str().into()),
            ],
        )?;
        let magic = chance.uuid().to_string();
        let token_update = check_in(
            "TokenUpdate",
            &[("Token", Value::Data(token)), ("PushMagic", magic.into()), ("AwaitingConfiguration", false.into())],
        )?;
        let idle = sign(&identity, &spec, self.clock, "/mdm", &[("Status", "Idle".into())])?;
        let mut connection = self.target.connect().await?;
        connection.send(&authenticate).await?;
        connection.send(&token_update).await?;
        let device = Device { spec, identity, idle, token_update, _inbox: inbox };
        device.answer_first_questions(&mut connection, self.clock).await?;
        Ok(device)
    }
}

impl Device {
    async fn answer_first_questions(&self, connection: &mut Connection, clock: &Clock) -> anyhow::Result<()> {
        let mut command = connection.send(&self.idle).await?;
        while let Some(uuid) = command_uuid(&command) {
            command = connection.send(&self.answer(uuid, clock)?).await?;
        }
        Ok(())
    }

    /// The answer to DeviceInformation, good for ManagedApplicationList too: both find their keys.
    fn answer(&self, uuid: &str, clock: &Clock) -> anyhow::Result<Message> {
        let spec = &self.spec;
        let facts: [(&str, Value); 12] = [
            ("UDID", spec.udid.as_str().into()),
            ("SerialNumber", spec.serial.as_str().into()),
            ("DeviceName", spec.device_name.as_str().into()),
            ("OSVersion", spec.os_version.as_str().into()),
            ("BuildVersion", spec.build_version.as_str().into()),
            ("ProductName", spec.product.as_str().into()),
            ("ModelName", "iPad".into()),
            ("IsSupervised", true.into()),
            ("DeviceCapacity", 64.0.into()),
            ("AvailableDeviceCapacity", 41.5.into()),
            ("AwaitingConfiguration", false.into()),
            ("iTunesStoreAccountIsActive", false.into()),
        ];
        let facts: Dictionary = facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let keys = [
            ("Status", "Acknowledged".into()),
            ("CommandUUID", uuid.into()),
            ("QueryResponses", facts.into()),
            ("ManagedApplicationList", Dictionary::new().into()),
        ];
        sign(&self.identity, spec, clock, "/mdm", &keys)
    }
}

/// What each device will say: signed in advance on all cores, which takes a while.
pub fn talks(devices: &[Device], uuids: &[Vec<String>]) -> anyhow::Result<Vec<Talk>> {
    let clock = Clock::real();
    let talk = |device: &Device, uuids: &Vec<String>| -> anyhow::Result<Talk> {
        let signed = uuids.iter().map(|uuid| Ok((uuid.clone(), device.answer(uuid, &clock)?)));
        Ok(Talk { idle: device.idle.clone(), answers: signed.collect::<anyhow::Result<_>>()? })
    };
    let share = devices.len().div_ceil(std::thread::available_parallelism().map_or(1, usize::from));
    std::thread::scope(|scope| {
        let shares = devices.chunks(share).zip(uuids.chunks(share));
        let sign_share = |(devices, uuids): (&[Device], &[Vec<String>])| {
            devices.iter().zip(uuids).map(|(device, uuids)| talk(device, uuids)).collect::<anyhow::Result<Vec<_>>>()
        };
        let threads: Vec<_> = shares.map(|share| scope.spawn(move || sign_share(share))).collect();
        let mut all = Vec::with_capacity(devices.len());
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("signing in advance failed"))??);
        }
        Ok(all)
    })
}

/// A property list with the device's UDID, signed as Apple's devices sign: streamed, detached.
fn sign<'a>(
    identity: &Identity,
    spec: &DeviceSpec,
    clock: &Clock,
    path: &'static str,
    keys: impl IntoIterator<Item = &'a (&'a str, Value)>,
) -> anyhow::Result<Message> {
    let mut message: Dictionary = keys.into_iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    message.insert("UDID".to_owned(), spec.udid.as_str().into());
    let mut body = Vec::new();
    Value::Dictionary(message).to_writer_xml(&mut body)?;
    let signer = Signer { key: &identity.key, certificate: &identity.certificate, chain: &[] };
    let style = Style { streamed: true, digest: Digest::Sha256 };
    let signature = cms::sign(&signer, &body, false, Vec::new(), clock.now(), style)?;
    let signature = HeaderValue::try_from(STANDARD.encode(signature))?;
    Ok(Message { path, signature, body: Bytes::from(body) })
}

/// Messages of one kind of all devices.
pub fn messages(devices: &[Device], which: impl Fn(&Device) -> &Message) -> Arc<[Message]> {
    devices.iter().map(|device| which(device).clone()).collect()
}
