//! RSA keys for devices. Making one takes a tenth of a second and more, so a fleet takes them from a pool that is made by
//! several threads and may be kept in a file between runs.
//!
//! Knows nothing of devices or certificates. These keys protect nothing: they are made for tests and demonstrations.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding};
use num_bigint::BigUint;

use super::ber::{self, Reader};
use super::cms::Digest;

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the crypto library refused to make or use an RSA key")]
    Crypto,
    #[error("the key file {path} cannot be {action}: {source}")]
    File { path: String, action: &'static str, source: std::io::Error },
    #[error("the key file {path} does not hold keys made by this program; delete it to have new ones made")]
    Format { path: String },
}

/// An RSA key pair.
pub struct Key {
    pair: KeyPair,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// A new key of 2048 bits. Slow: not for a runtime's thread.
    pub fn generate() -> Result<Key, KeyError> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Crypto)?;
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| KeyError::Crypto)?;
        Key::from_pkcs8(pkcs8.as_ref())
    }

    /// A key from PKCS#8 DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Key, KeyError> {
        let pair = KeyPair::from_pkcs8(der).map_err(|_| KeyError::Crypto)?;
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(|_| KeyError::Crypto)?;
        let public = public.as_ref().to_vec();
        Ok(Key { pair, pkcs8: der.to_vec(), public })
    }

    /// PKCS#8 DER of the pair.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// SubjectPublicKeyInfo DER.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// RSA PKCS#1 v1.5 signature over `message`.
    pub fn sign(&self, digest: Digest, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let encoding: &'static dyn RsaEncoding = match digest {
            Digest::Sha1 => return self.sign_sha1(message).ok_or(KeyError::Crypto),
            Digest::Sha256 => &RSA_PKCS1_SHA256,
            Digest::Sha512 => &RSA_PKCS1_SHA512,
        };
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.pair.sign(encoding, &random, message, &mut signature).map_err(|_| KeyError::Crypto)?;
        Ok(signature)
    }

    /// Opens what was encrypted to this key with RSA PKCS#1 v1.5.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, KeyError> {
        let private = PrivateDecryptingKey::from_pkcs8(&self.pkcs8).map_err(|_| KeyError::Crypto)?;
        let private = Pkcs1PrivateDecryptingKey::new(private).map_err(|_| KeyError::Crypto)?;
        let mut out = vec![0; private.min_output_size()];
        let plain = private.decrypt(ciphertext, &mut out).map_err(|_| KeyError::Crypto)?;
        Ok(plain.to_vec())
    }

    /// The crypto library verifies SHA-1 signatures but makes none, and Apple's devices make them: so the arithmetic of
    /// RSA with the Chinese remainder theorem is written out here. Not hardened against timing; there is no secret.
    fn sign_sha1(&self, message: &[u8]) -> Option<Vec<u8>> {
        let length = self.pair.public_modulus_len();
        let info = ber::sequence(&[
            &ber::algorithm(Digest::Sha1.oid()),
            &ber::tlv(ber::OCTET_STRING, &Digest::Sha1.of(message)),
        ]);
        let mut padded = vec![0, 1];
        padded.resize(length.checked_sub(info.len() + 1)?, 0xff);
        padded.push(0);
        padded.extend(info);
        let private = Private::read(&self.pkcs8)?;
        let signature = private.power(&BigUint::from_bytes_be(&padded))?.to_bytes_be();
        let mut out = vec![0; length.checked_sub(signature.len())?];
        out.extend(signature);
        Some(out)
    }
}

/// The private numbers of RFC 8017, as far as signing needs them.
struct Private {
    p: BigUint,
    q: BigUint,
    dp: BigUint,
    dq: BigUint,
    q_inverse: BigUint,
}

impl Private {
    fn read(pkcs8: &[u8]) -> Option<Private> {
        let mut outer = Reader::only(pkcs8, ber::SEQUENCE).ok()?.inside();
        outer.expect(ber::INTEGER).ok()?;
        outer.expect(ber::SEQUENCE).ok()?;
        let inner = outer.expect(ber::OCTET_STRING).ok()?.content;
        let mut numbers = Reader::only(inner, ber::SEQUENCE).ok()?.inside();
        let mut number = || numbers.expect(ber::INTEGER).ok().map(|node| BigUint::from_bytes_be(node.content));
        // Version, modulus, public and private exponent come first.
        for _ in 0..4 {
            number()?;
        }
        Some(Private { p: number()?, q: number()?, dp: number()?, dq: number()?, q_inverse: number()? })
    }

    fn power(&self, base: &BigUint) -> Option<BigUint> {
        if self.p == BigUint::ZERO || self.q == BigUint::ZERO {
            return None;
        }
        let by_p = base.modpow(&self.dp, &self.p);
        let by_q = base.modpow(&self.dq, &self.q);
        let difference = (by_p + &self.p - (&by_q % &self.p)) % &self.p;
        Some(by_q + (&self.q_inverse * difference) % &self.p * &self.q)
    }
}

/// Keys handed out one after the other; from the beginning again when all are in use.
#[derive(Debug, Default)]
pub struct KeyPool {
    keys: Vec<Arc<Key>>,
    next: AtomicUsize,
}

impl KeyPool {
    /// Makes `count` keys on `threads` threads and waits for them. Slow: not for a runtime's thread.
    pub fn generate(count: usize, threads: usize) -> Result<KeyPool, KeyError> {
        Ok(KeyPool::of(make(count, threads)?))
    }

    /// Reads the keys from `path` and makes only those that are missing to `count`; then keeps all in the file.
    pub fn cached(path: &Path, count: usize, threads: usize) -> Result<KeyPool, KeyError> {
        let mut keys = if path.exists() { read_file(path)? } else { Vec::new() };
        if keys.len() < count {
            keys.extend(make(count - keys.len(), threads)?);
            write_file(path, &keys)?;
        }
        keys.truncate(count);
        Ok(KeyPool::of(keys))
    }

    fn of(keys: Vec<Key>) -> KeyPool {
        KeyPool { keys: keys.into_iter().map(Arc::new).collect(), next: AtomicUsize::new(0) }
    }

    /// The next key. `None` only when the pool was made with no key at all.
    pub fn take(&self) -> Option<Arc<Key>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(self.keys.len())?;
        self.keys.get(turn).cloned()
    }

    /// How many different keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn make(count: usize, threads: usize) -> Result<Vec<Key>, KeyError> {
    let left = AtomicUsize::new(count);
    let made = Mutex::new(Vec::with_capacity(count));
    let one_less = |left: usize| left.checked_sub(1);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, 64) {
            scope.spawn(|| {
                while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                    let key = Key::generate();
                    made.lock().unwrap_or_else(PoisonError::into_inner).push(key);
                }
            });
        }
    });
    made.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
}

fn read_file(path: &Path) -> Result<Vec<Key>, KeyError> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| KeyError::File { path: name(), action: "read", source })?;
    let wrong = || KeyError::Format { path: name() };
    let mut reader = Reader::new(&bytes);
    let mut keys = Vec::new();
    while let Some(node) = reader.next().map_err(|_| wrong())? {
        keys.push(Key::from_pkcs8(node.raw).map_err(|_| wrong())?);
    }
    Ok(keys)
}

/// PKCS#8 values one after the other; each says its own length.
fn write_file(path: &Path, keys: &[Key]) -> Result<(), KeyError> {
    let bytes: Vec<u8> = keys.iter().flat_map(|key| key.pkcs8.iter().copied()).collect();
    let failed = |source| KeyError::File { path: path.display().to_string(), action: "written", source };
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, bytes).map_err(failed)?;
    std::fs::rename(&unfinished, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{
        RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    };

    #[test]
    fn both_kinds_of_signature_verify() {
        let key = Key::generate().unwrap();
        let sha1 = key.sign(Digest::Sha1, b"hello").unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, key.public());
        public.verify(b"hello", &sha1).unwrap();
        let sha256 = key.sign(Digest::Sha256, b"hello").unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public());
        public.verify(b"hello", &sha256).unwrap();
    }

    #[test]
    fn the_file_keeps_the_keys_and_only_missing_ones_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let first = KeyPool::cached(&path, 1, 2).unwrap().take().unwrap();
        let pool = KeyPool::cached(&path, 2, 2).unwrap();
        assert_eq!(pool.len(), 2);
        let taken: Vec<_> = (0..3).map(|_| pool.take().unwrap().public().to_vec()).collect();
        assert_eq!(taken[0], first.public());
        assert_ne!(taken[0], taken[1]);
        assert_eq!(taken[2], taken[0]);
        std::fs::write(&path, b"no keys").unwrap();
        assert!(matches!(KeyPool::cached(&path, 1, 1), Err(KeyError::Format { .. })));
    }
}
