//! Signing configuration profiles, so that a device shows who made them and refuses changed ones.

use super::authority::DeviceAuthority;
use super::cms::{self, CmsError};

/// Wraps a profile into an attached, DER-encoded signature of the device authority, its certificate embedded.
pub fn sign_profile(profile: &[u8], authority: &DeviceAuthority) -> Result<Vec<u8>, CmsError> {
    cms::sign(&authority.signatory(), Some(profile), &[], &[])
}
