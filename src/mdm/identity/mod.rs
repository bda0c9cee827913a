//! Who a device is: the certificate authorities of the appliance, the signatures that devices put on their messages
//! (CMS, with Apple's BER), and SCEP and ACME, by which a device gets its certificate.
//!
//! Pure functions over bytes: no I/O, no store, no web. Time and chance are given. Whoever calls decides what a
//! reference or a challenge is worth; this part only says what was proved.

pub mod acme;
pub mod authority;
pub mod certificate;
pub mod cms;
pub mod profile_signature;
pub mod recovery;
pub mod scep;
pub mod signature;
pub mod site;

#[cfg(test)]
pub(in crate::mdm) mod testing;
