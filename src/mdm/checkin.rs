//! What a device says to the check-in URL, and who says it.
//!
//! Decoding only: answers, pinning of certificates and what an enrolment means are for others. Secrets that vppd has no
//! use for (unlock token, bootstrap token, digest responses) are dropped here, so that nobody can store them.

use plist::Dictionary;

use super::plist_guard::{self, PlistError};
pub use super::wire::BadKey;
use super::wire::{flag, identifier, required_data, required_text, text};

/// The `UserID` which all users of a Shared iPad have in common; their short name tells them apart.
const SHARED_IPAD_USER: &str = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";

/// Why a message of a device was not understood. The device gets 400, never 401.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error(transparent)]
    Plist(#[from] PlistError),
    #[error(transparent)]
    Key(#[from] BadKey),
}

/// Which channel of which enrolment speaks. Apple: keys `UDID`, `EnrollmentID`, `UserID`, `EnrollmentUserID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Enrollment {
    pub device: DeviceId,
    /// None on the device channel.
    pub user: Option<UserChannel>,
}

/// How the device names itself. Opaque, compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DeviceId {
    Udid(String),
    /// User Enrolment: the device gives neither UDID nor serial number.
    EnrollmentId(String),
}

/// One managed user on the device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserChannel {
    /// What tells the users of this device apart: `UserID`, on a Shared iPad `UserShortName`, in User Enrolment
    /// `EnrollmentUserID`.
    pub id: String,
    pub short_name: Option<String>,
    pub long_name: Option<String>,
}

impl DeviceId {
    /// The identifier as the device gives it.
    pub fn as_str(&self) -> &str {
        match self {
            DeviceId::Udid(id) | DeviceId::EnrollmentId(id) => id,
        }
    }
}

impl Enrollment {
    /// Finds out who speaks. An identifying key of the wrong type is an error even where it is optional: read as
    /// absent, it would turn a user's channel into the device's.
    pub fn read(message: &Dictionary) -> Result<Enrollment, BadKey> {
        if let Some(udid) = identifier(message, "UDID")? {
            let user = match identifier(message, "UserID")? {
                Some(id) => Some(user_channel(message, id)?),
                None => None,
            };
            return Ok(Enrollment { device: DeviceId::Udid(udid), user });
        }
        let id = identifier(message, "EnrollmentID")?.ok_or(BadKey::Missing("UDID"))?;
        let user = identifier(message, "EnrollmentUserID")?.map(|id| named(message, id));
        Ok(Enrollment { device: DeviceId::EnrollmentId(id), user })
    }

    /// One text for the channel: `DEVICE`, or `DEVICE:USER`.
    pub fn key(&self) -> String {
        match &self.user {
            None => self.device.as_str().to_owned(),
            Some(user) => format!("{}:{}", self.device.as_str(), user.id),
        }
    }

    /// Whether the device itself speaks, not one of its users.
    pub fn is_device_channel(&self) -> bool {
        self.user.is_none()
    }
}

fn user_channel(message: &Dictionary, user_id: String) -> Result<UserChannel, BadKey> {
    if user_id.eq_ignore_ascii_case(SHARED_IPAD_USER) {
        let short_name = identifier(message, "UserShortName")?.ok_or(BadKey::Missing("UserShortName"))?;
        return Ok(named(message, short_name));
    }
    Ok(named(message, user_id))
}

fn named(message: &Dictionary, id: String) -> UserChannel {
    UserChannel { id, short_name: text(message, "UserShortName"), long_name: text(message, "UserLongName") }
}

/// One check-in message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checkin {
    /// The profile is being installed, or renewed. The device starts afresh; not enrolled before its first TokenUpdate.
    Authenticate(Authenticate),
    /// The channel can be pushed, from now on with these values.
    TokenUpdate(TokenUpdate),
    /// The profile was removed. Sent once, without a second attempt.
    CheckOut {
        enrollment: Enrollment,
    },
    /// A network user logs in on a Mac. vppd answers 410.
    UserAuthenticate {
        enrollment: Enrollment,
    },
    /// The token itself is dropped: vppd has no use for it.
    SetBootstrapToken {
        enrollment: Enrollment,
    },
    /// Answered with an empty body.
    GetBootstrapToken {
        enrollment: Enrollment,
    },
    GetToken {
        enrollment: Enrollment,
        service: String,
    },
    /// `data` is JSON, with a status report only.
    DeclarativeManagement {
        enrollment: Enrollment,
        endpoint: String,
        data: Option<Vec<u8>>,
    },
    /// A message of a newer system. The device gets 400.
    Unknown {
        message_type: String,
    },
}

/// Apple: Authenticate. Everything but topic and identity may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    pub enrollment: Enrollment,
    pub topic: String,
    /// Never in User Enrolment.
    pub serial_number: Option<String>,
    pub device_name: Option<String>,
    pub model: Option<String>,
    pub model_name: Option<String>,
    /// For example `iPad13,1`.
    pub product_name: Option<String>,
    pub os_version: Option<String>,
    pub build_version: Option<String>,
    pub imei: Option<String>,
    pub meid: Option<String>,
}

/// Apple: TokenUpdate. Debug shows neither token nor magic.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenUpdate {
    pub enrollment: Enrollment,
    pub topic: String,
    /// The push token; 32 bytes today.
    pub token: Vec<u8>,
    pub push_magic: String,
    /// None means no news, not false.
    pub awaiting_configuration: Option<bool>,
    /// Mac user channel: the user is not at the screen.
    pub not_on_console: Option<bool>,
}

impl std::fmt::Debug for TokenUpdate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenUpdate")
            .field("enrollment", &self.enrollment)
            .field("topic", &self.topic)
            .field("awaiting_configuration", &self.awaiting_configuration)
            .field("not_on_console", &self.not_on_console)
            .finish_non_exhaustive()
    }
}

impl Checkin {
    /// Decodes a check-in body of at most `max_len` bytes.
    pub fn read(body: &[u8], max_len: usize) -> Result<Checkin, MessageError> {
        let message = plist_guard::read_dictionary(body, max_len)?;
        Ok(Checkin::decode(&message)?)
    }

    fn decode(message: &Dictionary) -> Result<Checkin, BadKey> {
        let message_type = required_text(message, "MessageType")?;
        Ok(match message_type.as_str() {
            "Authenticate" => Checkin::Authenticate(authenticate(message)?),
            "TokenUpdate" => Checkin::TokenUpdate(token_update(message)?),
            "CheckOut" => Checkin::CheckOut { enrollment: Enrollment::read(message)? },
            "UserAuthenticate" => Checkin::UserAuthenticate { enrollment: Enrollment::read(message)? },
            "SetBootstrapToken" => Checkin::SetBootstrapToken { enrollment: Enrollment::read(message)? },
            "GetBootstrapToken" => Checkin::GetBootstrapToken { enrollment: Enrollment::read(message)? },
            "GetToken" => Checkin::GetToken {
                enrollment: Enrollment::read(message)?,
                service: required_text(message, "TokenServiceType")?,
            },
            "DeclarativeManagement" => Checkin::DeclarativeManagement {
                enrollment: Enrollment::read(message)?,
                endpoint: required_text(message, "Endpoint")?,
                data: message.get("Data").and_then(plist::Value::as_data).map(<[u8]>::to_vec),
            },
            _ => Checkin::Unknown { message_type },
        })
    }

    /// Who speaks; None for a message of unknown type.
    pub fn enrollment(&self) -> Option<&Enrollment> {
        match self {
            Checkin::Authenticate(message) => Some(&message.enrollment),
            Checkin::TokenUpdate(message) => Some(&message.enrollment),
            Checkin::CheckOut { enrollment }
            | Checkin::UserAuthenticate { enrollment }
            | Checkin::SetBootstrapToken { enrollment }
            | Checkin::GetBootstrapToken { enrollment }
            | Checkin::GetToken { enrollment, .. }
            | Checkin::DeclarativeManagement { enrollment, .. } => Some(enrollment),
            Checkin::Unknown { .. } => None,
        }
    }
}

fn authenticate(message: &Dictionary) -> Result<Authenticate, BadKey> {
    Ok(Authenticate {
        enrollment: Enrollment::read(message)?,
        topic: required_text(message, "Topic")?,
        serial_number: text(message, "SerialNumber").filter(|serial| !serial.is_empty()),
        device_name: text(message, "DeviceName"),
        model: text(message, "Model"),
        model_name: text(message, "ModelName"),
        product_name: text(message, "ProductName"),
        os_version: text(message, "OSVersion"),
        build_version: text(message, "BuildVersion"),
        imei: text(message, "IMEI"),
        meid: text(message, "MEID"),
    })
}

fn token_update(message: &Dictionary) -> Result<TokenUpdate, BadKey> {
    Ok(TokenUpdate {
        enrollment: Enrollment::read(message)?,
        topic: required_text(message, "Topic")?,
        token: required_data(message, "Token")?,
        push_magic: required_text(message, "PushMagic")?,
        awaiting_configuration: flag(message, "AwaitingConfiguration"),
        not_on_console: flag(message, "NotOnConsole"),
    })
}

#[cfg(test)]
mod tests;
