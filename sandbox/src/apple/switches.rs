//! Behaviour of Apple that is unknown or contradictory, one switch each. The default is the likeliest behaviour.

use serde::{Deserialize, Serialize};

macro_rules! choices {
    ($($(#[$about:meta])* $name:ident { $first:ident, $($other:ident),+ $(,)? })+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { #[default] $first, $($other),+ }
    )+};
}

choices! {
    /// With which status an error about the token is sent.
    Token200 { OkWithBody, UnauthorizedWithBody }
    /// When `tokenExpirationDate` is sent.
    ExpDate { Always, LastFifteenDays }
    /// `mdmInfo` of a location nobody has claimed.
    MdmInfoUnset { Absent, Null }
    /// What members left out of `POST client/config` do.
    CfgMerge { Keep, Clear }
    /// A task that is satisfied already.
    Repeated { Success, Failure }
    /// More targets than licences.
    Shortage { FillUntilEmpty, FailAll }
    /// An asset this location does not own.
    UnknownAsset { NotEnoughLater, InvalidNow }
    /// A clientUserId that nobody registered (9609).
    UnknownUser { RefusedNow, FailsLater }
    /// Tasks that were satisfied before, in notifications.
    Satisfied { Listed, Omitted }
    /// Whether the first notifications of an event come before its eventId.
    NotifEarly { Off, On }
    /// What happens to notifications.
    NotifFault { Off, Duplicate, Drop, Reorder, WrongSecret, Split, UnknownType }
    /// What came with June 2026: subscriptions, unlimited assets, the published rate.
    Profile2026 { On, Off }
    /// A change with a token that may only look. Its number is 9601 either way, as none is documented.
    ReadOnlyToken { Forbidden, Unauthorized }
    /// A legacy token at calls that the first version of the service did not have (9647).
    LegacyCalls { Allowed, Refused }
    /// Another client that acts by itself in all locations.
    OtherMdm { Off, On }
    /// Artwork of the metadata lookup: a template, or ready sizes; with these ids are numbers.
    LookupShape { Template, Sizes }
    /// `nextCursor` on the last page with records: absent, or the next page is an empty one.
    LastCursor { Absent, EmptyPage }
    /// Users and serials in one request.
    BothTargets { Accept, Refuse }
    /// Removed assignments in an answer to `sinceVersionId`.
    DeltaRemoved { Omitted, Listed }
    /// `totalPages` of an empty list.
    EmptyPages { One, Zero }
    /// Whether somebody else writes while pages are walked.
    VersionChurn { Off, Version, VersionAndPages }
    /// A filter with a value that does not exist.
    FilterBad { Refuse, Ignore, Empty }
}

/// All switches of this half. As JSON the keys and values are in kebab-case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Switches {
    #[serde(rename = "token-200")]
    pub token_200: Token200,
    /// 9622 or 9601.
    pub bad_token_number: BadTokenNumber,
    pub exp_date: ExpDate,
    pub mdm_info: MdmInfoUnset,
    pub cfg_merge: CfgMerge,
    pub reassoc: Repeated,
    pub redisassoc: Repeated,
    pub shortage: Shortage,
    pub unknown_asset: UnknownAsset,
    pub unknown_user: UnknownUser,
    pub both_targets: BothTargets,
    pub delta_removed: DeltaRemoved,
    pub empty_pages: EmptyPages,
    /// Records on a page, 1 to 1000.
    pub page_size: usize,
    pub version_churn: VersionChurn,
    /// How long `status` knows an event.
    pub event_ttl_seconds: u64,
    /// How long after the end of the event a device's store sees the licence. 0: as soon as the task is done.
    pub device_lag_seconds: u64,
    pub filter_bad: FilterBad,
    pub satisfied: Satisfied,
    pub notif_early: NotifEarly,
    pub notif_fault: NotifFault,
    /// How many of a hundred notifications `notif-fault` strikes.
    pub notif_fault_percent: u8,
    /// How long after the first and the second attempt the next one is made.
    pub notif_retry_seconds: [u64; 2],
    #[serde(rename = "profile-2026")]
    pub profile_2026: Profile2026,
    pub read_only_token: ReadOnlyToken,
    pub legacy_calls: LegacyCalls,
    pub other_mdm: OtherMdm,
    /// How long the other client waits between two acts, from and to.
    pub other_mdm_seconds: [u64; 2],
    /// How long every reply is held back, as by a long way to Apple.
    pub latency_ms: u64,
    /// How long a listing lags behind what was written.
    pub lag_seconds: u64,
    pub lookup_shape: LookupShape,
    pub last_cursor: LastCursor,
    /// How long a chunk of an event takes, from and to.
    pub chunk_delay_ms: [u64; 2],
}

/// The number for a token nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BadTokenNumber {
    #[default]
    #[serde(rename = "9622")]
    InvalidToken,
    #[serde(rename = "9601")]
    LoginRequired,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            token_200: Token200::default(),
            bad_token_number: BadTokenNumber::default(),
            exp_date: ExpDate::default(),
            mdm_info: MdmInfoUnset::default(),
            cfg_merge: CfgMerge::default(),
            reassoc: Repeated::default(),
            redisassoc: Repeated::default(),
            shortage: Shortage::default(),
            unknown_asset: UnknownAsset::default(),
            unknown_user: UnknownUser::default(),
            both_targets: BothTargets::default(),
            delta_removed: DeltaRemoved::default(),
            empty_pages: EmptyPages::default(),
            page_size: 500,
            version_churn: VersionChurn::default(),
            event_ttl_seconds: 24 * 3600,
            device_lag_seconds: 0,
            filter_bad: FilterBad::default(),
            satisfied: Satisfied::default(),
            notif_early: NotifEarly::default(),
            notif_fault: NotifFault::default(),
            notif_fault_percent: 100,
            notif_retry_seconds: [60, 180],
            profile_2026: Profile2026::default(),
            read_only_token: ReadOnlyToken::default(),
            legacy_calls: LegacyCalls::default(),
            other_mdm: OtherMdm::default(),
            other_mdm_seconds: [300, 1800],
            latency_ms: 0,
            lag_seconds: 0,
            lookup_shape: LookupShape::default(),
            last_cursor: LastCursor::default(),
            chunk_delay_ms: [200, 800],
        }
    }
}
