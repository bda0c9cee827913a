//! What a simulated device is, who owns it, and how it misbehaves. Data only.

use std::time::Duration;

use crate::chance::Chance;

/// One device. [`DeviceSpec::nth`] makes plausible ones.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSpec {
    pub serial: String,
    pub udid: String,
    /// `iPad13,1`.
    pub product: String,
    pub os_version: String,
    pub build_version: String,
    pub device_name: String,
    pub supervised: bool,
    /// Hash of the signed-in store account, `None` without one.
    pub store_account: Option<String>,
    pub person: Person,
    pub timing: Timing,
    pub declares: Declares,
    pub behaviour: Behaviour,
}

impl DeviceSpec {
    /// The device number `number` of a fleet made with this seed: an iPad or iPhone, supervised, its owner accepting.
    pub fn nth(seed: u64, number: u64) -> DeviceSpec {
        let mut chance = Chance::seeded(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let alphabet = b"CDFGHJKLMNPQRTVWXY0123456789";
        let letter = |chance: &mut Chance| {
            let at = chance.below(alphabet.len() as u64) as usize;
            char::from(alphabet.get(at).copied().unwrap_or(b'X'))
        };
        // The number is in the serial, so that no two devices of a fleet share one.
        let serial = format!("{}{}{}{number:07}", letter(&mut chance), letter(&mut chance), letter(&mut chance));
        let product = if chance.below(3) == 0 { "iPhone15,2" } else { "iPad13,1" };
        let family = if product.starts_with("iPad") { "iPad" } else { "iPhone" };
        DeviceSpec {
            udid: format!("{:08X}-{:016X}", 0x8000 + chance.below(0x200), chance.next()),
            device_name: format!("{family} {number}"),
            serial,
            product: product.to_owned(),
            os_version: "18.5".to_owned(),
            build_version: "22F76".to_owned(),
            supervised: true,
            store_account: None,
            person: Person::default(),
            timing: Timing::default(),
            declares: Declares::default(),
            behaviour: Behaviour::default(),
        }
    }
}

/// What the owner does when asked something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    Accept { after: Duration },
    Decline { after: Duration },
    Ignore,
}

impl Default for Person {
    fn default() -> Person {
        Person::Accept { after: Duration::from_secs(20) }
    }
}

/// How long the steps of an installation take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub queued: Duration,
    pub validating: Duration,
    /// Installing, beside the download.
    pub installing: Duration,
    /// Download speed; 0 takes no time.
    pub bytes_per_second: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            queued: Duration::from_secs(2),
            validating: Duration::from_secs(3),
            installing: Duration::from_secs(10),
            bytes_per_second: 5_000_000,
        }
    }
}

/// What a device knows of declarations (Apple: Declarative Management); by default nothing, and then it refuses the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Declares {
    /// It speaks them at all.
    pub knows: bool,
    /// Apps can be declared to it.
    pub apps: bool,
    /// It tells by itself of apps that commands have installed.
    pub tells: bool,
    /// Numbers of builds are text in the list where they are numbers, and numbers where they are text.
    pub builds_swapped: bool,
    /// Each report tells everything, and says so.
    pub always_full: bool,
    /// A code that nobody has described stands in the place of each reason.
    pub unknown_codes: bool,
    /// So many apps more are in each report.
    pub ballast: usize,
}

impl Declares {
    /// As today's iPhones and iPads.
    pub fn all() -> Declares {
        Declares { knows: true, apps: true, tells: true, ..Declares::default() }
    }
}

/// Whether and how the Content-Type header is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentType {
    /// As Apple documents it: with a charset on the command channel only.
    #[default]
    Documented,
    Missing,
    /// With a charset everywhere.
    Charset,
}

/// How the renewal of its identity goes on a device. Apple describes no order, so all of them must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Renewal {
    /// Authenticate and TokenUpdate with the new identity, then the answer with it.
    #[default]
    Smooth,
    /// The answer with the new identity comes before Authenticate.
    AnswersFirst,
    /// After Authenticate and TokenUpdate the answer still comes with the old identity.
    AnswersAsBefore,
    /// The first try fails after Authenticate: the old profile is put back.
    FailsHalfWay,
}

/// How an install is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refused {
    /// Domain and code, the outermost first.
    pub chain: Vec<(String, i64)>,
    pub reason: Option<String>,
}

/// Deviations; none by default, and the default writes BER with SHA-1 as Apple's published code does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// Enrols and never connects again.
    pub stay_away: bool,
    /// Answers NotNow to the n-th command (from 1), or to the first after it that may be answered so.
    pub not_now_on: Option<u32>,
    /// How long after a NotNow at the end of a cycle the device comes back by itself; `None` never.
    pub not_now_back: Option<Duration>,
    /// Loses the reply to its n-th result (from 1) with the connection, and sends the result again.
    pub lose_reply_on: Option<u32>,
    pub content_type: ContentType,
    pub binary_plist: bool,
    pub extra_keys: bool,
    pub echo_request_type: bool,
    /// SHA-256 instead of SHA-1 in `Mdm-Signature`.
    pub sha256: bool,
    /// DER instead of Apple's streamed BER.
    pub der: bool,
    /// Embeds the certificates of the profile beside its own.
    pub embed_chain: bool,
    /// Authenticate with the required keys only.
    pub minimal_authenticate: bool,
    pub challenge_as_utf8: bool,
    pub sorted_csr_attributes: bool,
    /// SCEP as an independent client of long ago does it: DES, SHA-1, the message in the query string too.
    pub old_scep_client: bool,
    /// Loses the first reply to PKIOperation and sends the request again.
    pub lose_scep_reply: bool,
    pub renewal: Renewal,
    /// Refuses its first installs so, one after the other.
    pub refuse_installs: Vec<Refused>,
    /// Refuses every install that would take a person's own copy over, as account-driven enrolments do.
    pub refuse_take_over: bool,
    /// Sends no CheckOut even if the profile asks for it.
    pub lose_check_out: bool,
}
