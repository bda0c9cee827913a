//! The limits that `service/config` publishes, changeable at run time.

use serde::{Deserialize, Serialize};

/// Apple: service-config, `limits`. Apple's own key names; the default is what Apple published in August 2026.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    pub max_assets: usize,
    pub max_client_user_ids: usize,
    pub max_serial_numbers: usize,
    pub max_revoke_client_user_ids: usize,
    pub max_revoke_serial_numbers: usize,
    pub max_users: usize,
    /// Characters, of the URL and of the secret.
    pub max_notification_length: usize,
    /// Per location.
    pub max_request_per_second: usize,
    pub max_mdm_id_length: usize,
    pub max_mdm_name_length: usize,
    pub max_mdm_metadata_length: usize,
    pub max_subscriptions: usize,
    pub max_subscription_client_user_ids: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_assets: 25,
            max_client_user_ids: 1000,
            max_serial_numbers: 1000,
            max_revoke_client_user_ids: 100,
            max_revoke_serial_numbers: 100,
            max_users: 100,
            max_notification_length: 512,
            max_request_per_second: 15,
            max_mdm_id_length: 100,
            max_mdm_name_length: 100,
            max_mdm_metadata_length: 255,
            max_subscriptions: 25,
            max_subscription_client_user_ids: 1000,
        }
    }
}
