//! The error numbers of Apps and Books that the served calls can answer with, their HTTP status and a text.
//!
//! Apple: Handling error responses. The texts are our own: a client has to decide on the number.

use serde::Serialize;

use super::faults::RetryAfter;
use super::wire::ErrorInfo;

/// One documented error. The discriminant is the number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum AppleError {
    LoginRequired = 9601,
    InvalidArgument = 9602,
    Internal = 9603,
    NoSuchUser = 9609,
    TokenExpired = 9621,
    InvalidToken = 9622,
    TokenRevoked = 9625,
    Withdrawn = 9634,
    AccountUnusable = 9635,
    Facilitator = 9637,
    AccountTaken = 9641,
    Maintenance = 9644,
    TooManyRequests = 9646,
    LegacyToken = 9647,
    PageOutOfRange = 9650,
    TooManyAssets = 9700,
    TooManyUsers = 9701,
    TooManySerials = 9702,
    DuplicateAssets = 9703,
    DuplicateUsers = 9704,
    DuplicateSerials = 9705,
    NotRevocable = 9706,
    NotDeviceAssignable = 9707,
    UnknownEvent = 9708,
    NotEnoughLicences = 9709,
    UrlAndTokenTogether = 9710,
    UrlOrTokenTooLong = 9711,
    UrlInvalid = 9712,
    MetadataTooLong = 9713,
    TooManyRegistrations = 9714,
    DuplicateRegistrations = 9715,
    UserExists = 9716,
    BadEmail = 9717,
    AssetsMissing = 9718,
    TargetsMissing = 9719,
    UsersMissing = 9720,
    BadVersion = 9721,
    MalformedAuthorization = 9722,
    MdmInfoIncomplete = 9723,
    MdmIdTooLong = 9724,
    MdmNameTooLong = 9725,
    WrongMethod = 9726,
    WrongContentType = 9727,
    UrlUnreachable = 9728,
    Unavailable = 9729,
    BadSeat = 9811,
    BadCursor = 9812,
    BadAdamId = 9813,
    NoAssociatedUser = 9814,
    SeatNotHeld = 9815,
    TooManySubscriptions = 9816,
    SeatThroughGroup = 9817,
    SubscriptionsExist = 9818,
}

impl AppleError {
    /// All of them, by number.
    pub const ALL: [AppleError; 53] = [
        AppleError::LoginRequired,
        AppleError::InvalidArgument,
        AppleError::Internal,
        AppleError::NoSuchUser,
        AppleError::TokenExpired,
        AppleError::InvalidToken,
        AppleError::TokenRevoked,
        AppleError::Withdrawn,
        AppleError::AccountUnusable,
        AppleError::Facilitator,
        AppleError::AccountTaken,
        AppleError::Maintenance,
        AppleError::TooManyRequests,
        AppleError::LegacyToken,
        AppleError::PageOutOfRange,
        AppleError::TooManyAssets,
        AppleError::TooManyUsers,
        AppleError::TooManySerials,
        AppleError::DuplicateAssets,
        AppleError::DuplicateUsers,
        AppleError::DuplicateSerials,
        AppleError::NotRevocable,
        AppleError::NotDeviceAssignable,
        AppleError::UnknownEvent,
        AppleError::NotEnoughLicences,
        AppleError::UrlAndTokenTogether,
        AppleError::UrlOrTokenTooLong,
        AppleError::UrlInvalid,
        AppleError::MetadataTooLong,
        AppleError::TooManyRegistrations,
        AppleError::DuplicateRegistrations,
        AppleError::UserExists,
        AppleError::BadEmail,
        AppleError::AssetsMissing,
        AppleError::TargetsMissing,
        AppleError::UsersMissing,
        AppleError::BadVersion,
        AppleError::MalformedAuthorization,
        AppleError::MdmInfoIncomplete,
        AppleError::MdmIdTooLong,
        AppleError::MdmNameTooLong,
        AppleError::WrongMethod,
        AppleError::WrongContentType,
        AppleError::UrlUnreachable,
        AppleError::Unavailable,
        AppleError::BadSeat,
        AppleError::BadCursor,
        AppleError::BadAdamId,
        AppleError::NoAssociatedUser,
        AppleError::SeatNotHeld,
        AppleError::TooManySubscriptions,
        AppleError::SeatThroughGroup,
        AppleError::SubscriptionsExist,
    ];

    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The documented HTTP status.
    pub fn status(self) -> u16 {
        match self {
            AppleError::LoginRequired
            | AppleError::TokenExpired
            | AppleError::InvalidToken
            | AppleError::TokenRevoked
            | AppleError::MalformedAuthorization => 401,
            AppleError::Facilitator | AppleError::LegacyToken => 403,
            AppleError::Internal => 500,
            AppleError::Withdrawn => 410,
            AppleError::TooManyRequests => 429,
            AppleError::WrongMethod => 405,
            AppleError::WrongContentType => 415,
            AppleError::Unavailable => 503,
            _ => 400,
        }
    }

    /// Whether `service/config` lists it. 9622 is met in practice, but stands in no table of the second version; others
    /// stand in the tables only.
    pub(super) fn is_published(self) -> bool {
        self.number() < AppleError::Unavailable.number()
            && !matches!(
                self,
                AppleError::InvalidToken
                    | AppleError::AccountUnusable
                    | AppleError::Facilitator
                    | AppleError::AccountTaken
                    | AppleError::Maintenance
                    | AppleError::LegacyToken
            )
    }

    /// Whether the error is about the token itself: those real clients have met with status 200 (switch `token-200`).
    pub fn is_about_the_token(self) -> bool {
        matches!(
            self,
            AppleError::LoginRequired | AppleError::TokenExpired | AppleError::InvalidToken | AppleError::TokenRevoked
        )
    }

    /// A text for people.
    pub fn message(self) -> &'static str {
        match self {
            AppleError::LoginRequired => "Login required.",
            AppleError::InvalidArgument => "Invalid argument.",
            AppleError::Internal => "Internal error.",
            AppleError::NoSuchUser => "There is no such registered user.",
            AppleError::TokenExpired => "The content token has expired.",
            AppleError::InvalidToken => "The content token is invalid.",
            AppleError::TokenRevoked => "The content token was revoked.",
            AppleError::Withdrawn => "This service is no longer there.",
            AppleError::AccountUnusable => "The Apple Account cannot be linked to this user.",
            AppleError::Facilitator => "Facilitator accounts are not allowed here.",
            AppleError::AccountTaken => "The Apple Account is linked to another user.",
            AppleError::Maintenance => "The service is under maintenance.",
            AppleError::TooManyRequests => "Too many requests for this organisation.",
            AppleError::LegacyToken => "Legacy tokens are not allowed here.",
            AppleError::PageOutOfRange => "The page index is out of range.",
            AppleError::TooManyAssets => "Too many assets in one request.",
            AppleError::TooManyUsers => "Too many clientUserIds in one request.",
            AppleError::TooManySerials => "Too many serialNumbers in one request.",
            AppleError::DuplicateAssets => "An asset is listed twice.",
            AppleError::DuplicateUsers => "A clientUserId is listed twice.",
            AppleError::DuplicateSerials => "A serial number is listed twice.",
            AppleError::NotRevocable => "An asset is not revocable.",
            AppleError::NotDeviceAssignable => "An asset cannot be assigned to devices.",
            AppleError::UnknownEvent => "There is no such event.",
            AppleError::NotEnoughLicences => "There are not enough licences.",
            AppleError::UrlAndTokenTogether => "notificationUrl and notificationAuthToken go together.",
            AppleError::UrlOrTokenTooLong => "notificationUrl or notificationAuthToken is too long.",
            AppleError::UrlInvalid => "notificationUrl is not a valid https address.",
            AppleError::MetadataTooLong => "mdmInfo.metadata is too long.",
            AppleError::TooManyRegistrations => "Too many users in one request.",
            AppleError::DuplicateRegistrations => "A user is listed twice.",
            AppleError::UserExists => "The clientUserId is registered already.",
            AppleError::BadEmail => "An e-mail address is not valid.",
            AppleError::AssetsMissing => "No assets were given.",
            AppleError::TargetsMissing => "Neither clientUserIds nor serialNumbers were given.",
            AppleError::UsersMissing => "No users were given.",
            AppleError::BadVersion => "The version id is not valid.",
            AppleError::MalformedAuthorization => "The Authorization header is malformed.",
            AppleError::MdmInfoIncomplete => "mdmInfo needs id, name and metadata.",
            AppleError::MdmIdTooLong => "mdmInfo.id is too long.",
            AppleError::MdmNameTooLong => "mdmInfo.name is too long.",
            AppleError::WrongMethod => "This method is not allowed here.",
            AppleError::WrongContentType => "The Content-Type has to be application/json.",
            AppleError::UrlUnreachable => "notificationUrl could not be reached.",
            AppleError::Unavailable => "The service is temporarily unavailable.",
            AppleError::BadSeat => "The subscription cannot be assigned like this.",
            AppleError::BadCursor => "The cursor is not valid.",
            AppleError::BadAdamId => "An adamId is not valid.",
            AppleError::NoAssociatedUser => "A clientUserId has no associated user.",
            AppleError::SeatNotHeld => "A user does not hold this subscription.",
            AppleError::TooManySubscriptions => "Too many subscriptions or users in one request.",
            AppleError::SeatThroughGroup => "A user has this subscription through a group.",
            AppleError::SubscriptionsExist => "There are subscriptions, so they cannot be disabled.",
        }
    }
}

impl Serialize for AppleError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.number())
    }
}

/// A call that is refused: nothing was done.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub error: AppleError,
    pub info: Option<ErrorInfo>,
    /// What exactly was wrong, added to the text.
    pub detail: Option<String>,
    /// The message was not what Apple documents (unknown or ill-typed key): counted as `refused`.
    pub strict: bool,
    pub retry_after: Option<RetryAfter>,
    /// Another status than the documented one.
    pub status: Option<u16>,
}

impl Refusal {
    pub(super) fn about(error: AppleError, info: ErrorInfo) -> Refusal {
        Refusal { info: Some(info), ..Refusal::from(error) }
    }

    /// An unknown or ill-typed key or parameter.
    pub(super) fn unreadable(detail: impl Into<String>) -> Refusal {
        Refusal { detail: Some(detail.into()), strict: true, ..Refusal::from(AppleError::InvalidArgument) }
    }

    /// The text sent.
    pub(super) fn message(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{} {detail}", self.error.message()),
            None => self.error.message().to_owned(),
        }
    }
}

impl From<AppleError> for Refusal {
    fn from(error: AppleError) -> Refusal {
        Refusal { error, info: None, detail: None, strict: false, retry_after: None, status: None }
    }
}
