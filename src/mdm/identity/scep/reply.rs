//! CertRep: the answers to a request, signed by the device authority.

use rasn::prelude::{OctetString, Oid, PrintableString, Utf8String};

use super::request::{FailInfo, ScepRequest, Transaction};
use super::{FAIL_INFO, MESSAGE_TYPE_ATTRIBUTE, RECIPIENT_NONCE, SENDER_NONCE, STATUS, TRANSACTION};
use crate::entropy::Entropy;
use crate::mdm::identity::authority::DeviceAuthority;
use crate::mdm::identity::cms::{self, CmsError, wire};

const CERT_REP: &str = "3";
const SUCCESS: &str = "0";
const FAILURE: &str = "2";

/// The certificate (DER), alone in a certs-only message, encrypted to the request's signer.
pub fn success(
    request: &ScepRequest,
    authority: &DeviceAuthority,
    certificate_der: &[u8],
    entropy: &Entropy,
) -> Result<Vec<u8>, CmsError> {
    let certificates = cms::certificates_only(&[certificate_der])?;
    let envelope = cms::seal(&request.signer_certificate, &certificates, request.cipher)?;
    let attributes = attributes(&request.transaction, SUCCESS, entropy)?;
    cms::sign(&authority.signatory(), Some(&envelope), &attributes, &[])
}

/// A refusal. Goes out with HTTP 200 as well.
pub fn failure(
    transaction: &Transaction,
    fail_info: FailInfo,
    authority: &DeviceAuthority,
    entropy: &Entropy,
) -> Result<Vec<u8>, CmsError> {
    let mut attributes = attributes(transaction, FAILURE, entropy)?;
    attributes.push((FAIL_INFO, string(fail_info.code())?));
    cms::sign(&authority.signatory(), None, &attributes, &[])
}

fn attributes(
    transaction: &Transaction,
    status: &str,
    entropy: &Entropy,
) -> Result<Vec<(&'static Oid, Vec<u8>)>, CmsError> {
    let nonce = |nonce: &[u8]| wire::encode(&OctetString::from_slice(nonce), "nonce");
    let mut attributes = vec![
        (MESSAGE_TYPE_ATTRIBUTE, string(CERT_REP)?),
        (STATUS, string(status)?),
        (TRANSACTION, string(&transaction.id)?),
        (SENDER_NONCE, nonce(&entropy.bytes::<16>())?),
    ];
    if !transaction.sender_nonce.is_empty() {
        attributes.push((RECIPIENT_NONCE, nonce(&transaction.sender_nonce)?));
    }
    Ok(attributes)
}

/// PrintableString as SCEP wants; UTF8String for an odd transaction that does not fit into one.
fn string(text: &str) -> Result<Vec<u8>, CmsError> {
    match PrintableString::try_from(text) {
        Ok(printable) => wire::encode(&printable, "attribute"),
        Err(_) => wire::encode(&Utf8String::from(text), "attribute"),
    }
}
