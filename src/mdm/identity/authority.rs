//! The two certificate authorities of an appliance: [`DeviceAuthority`] (RSA, because SCEP encrypts to it) gives devices
//! their identity, [`ServerAuthority`] (P-256) gives the device listener its TLS certificate when the administrator
//! brings none.
//!
//! Pure: keys go in and out as PEM, time and chance are given. Keeps no list of what it issued.

mod device;
mod root;
mod server;

pub use root::certificate_pem;

pub use device::{DeviceAuthority, IdentitySubject, IssuedIdentity};
pub use server::{ServerAuthority, ServerCertificate};

/// Why an authority could not be made, could not issue, or does not accept a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The key could not be made.
    #[error("a new key for the {0} could not be made; nothing was changed, try again")]
    Key(&'static str),
    /// PEM text that is not what it should be.
    #[error("the {0} cannot be used; restore the one that was backed up")]
    Unusable(&'static str),
    /// Two halves of different backups.
    #[error("the key of the authority does not belong to its certificate; restore both from the same backup")]
    Mismatch,
    /// A certificate could not be made; the text is the crypto library's.
    #[error("the certificate could not be made: {0}")]
    Issue(String),
    /// The certificate is not one that this authority issued to a device.
    #[error("the certificate was not issued by this appliance to a device: {0}; the device must enrol again")]
    Foreign(&'static str),
    /// Ended longer ago than the grace, or has not begun.
    #[error("the certificate is not valid at this time (it ends {not_after}); the device must enrol again")]
    OutOfTime {
        /// End of its validity.
        not_after: jiff::Timestamp,
    },
}

#[cfg(test)]
mod tests;
