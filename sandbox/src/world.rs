//! What Apple's store, Apple's push service and the devices share: the catalogue, who holds a licence, and who is woken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

/// One product in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub adam_id: String,
    pub bundle_id: String,
    pub name: String,
    /// `App` or `Book`.
    pub product_type: String,
    /// External version identifier of the newest version.
    pub external_version_id: u64,
    pub size_bytes: u64,
}

/// What a device may ask Apple's store. Implemented by the sandbox's Apple, and by small fakes in unit tests.
pub trait StoreFront: Send + Sync {
    /// The product, or `None` if this store does not know the id.
    fn product(&self, adam_id: &str) -> Option<Product>;
    /// The product with this bundle id.
    fn product_by_bundle(&self, bundle_id: &str) -> Option<Product>;
    /// Whether Apple holds a licence of `adam_id` for this serial number in any location, as the device's store sees it now.
    fn holds_licence(&self, serial: &str, adam_id: &str) -> bool;
    /// Whether the licence is a person's, and nobody has signed in to the store on the device.
    fn wants_sign_in(&self, _serial: &str, _adam_id: &str) -> bool {
        false
    }
    /// A device asked to install before Apple had finished the pair: counted, shown by the control side as
    /// `installs_before_licence`.
    fn report_install_without_licence(&self, serial: &str, adam_id: &str);
}

/// What APNs delivers to a device: the magic string of the push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    pub push_magic: String,
}

/// Where APNs finds the devices: by push token. Devices register when they make a token; APNs delivers into the channel.
#[derive(Clone, Default)]
pub struct PushInboxes(Arc<Mutex<HashMap<Vec<u8>, mpsc::UnboundedSender<Wake>>>>);

impl PushInboxes {
    /// A device listens for pushes to `token`. An earlier listener of the same token is replaced.
    pub fn register(&self, token: Vec<u8>) -> mpsc::UnboundedReceiver<Wake> {
        let (send, receive) = mpsc::unbounded_channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, send);
        receive
    }

    /// The token is no longer valid (profile removed, device wiped): APNs answers 410 from now on.
    pub fn forget(&self, token: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    /// Delivers a push. False when nobody listens to this token.
    pub fn deliver(&self, token: &[u8], wake: Wake) -> bool {
        let inboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.get(token).is_some_and(|inbox| inbox.send(wake).is_ok())
    }
}
