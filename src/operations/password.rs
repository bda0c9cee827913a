//! Passwords of people in a directory that is a file: argon2id, in the form `$argon2id$v=19$m=…,t=…,p=…$salt$hash` (PHC string).
//!
//! Hashes come from a file that somebody wrote, so what they cost is bounded: nobody fills the memory by signing in.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, Params};
use secrecy::{ExposeSecret, SecretString};

use crate::entropy::Entropy;

/// The most that a hash may cost: memory in KiB, rounds, lanes.
const MOST: (u32, u32, u32) = (256 * 1024, 16, 16);
/// Longer ones are cut off nowhere: they are refused.
pub const LONGEST: usize = 1024;

/// With this, checking takes as long for a person who is not there: a hash of a password that nobody has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmU$XkRhyzPhGOpu0s5qtHPdOHqJQBrNZTzhXTwCs8rXz0A";

/// The hash of a password, as it belongs into the file.
pub fn hash(password: &SecretString) -> Result<String, argon2::password_hash::Error> {
    let salt = SaltString::encode_b64(&Entropy::system().bytes::<16>())?;
    Ok(Argon2::default().hash_password(password.expose_secret().as_bytes(), &salt)?.to_string())
}

/// Why this is no hash with which somebody can sign in.
pub fn problem(text: &str) -> Option<&'static str> {
    let Ok(hash) = PasswordHash::new(text) else {
        return Some("password is no argon2id hash ($argon2id$…): `vppd person password` makes one");
    };
    if hash.algorithm.as_str() != "argon2id" || hash.salt.is_none() || hash.hash.is_none() {
        return Some("password is a hash, but not one of argon2id with salt: `vppd person password` makes one");
    }
    match Params::try_from(&hash) {
        Ok(cost) if cost.m_cost() <= MOST.0 && cost.t_cost() <= MOST.1 && cost.p_cost() <= MOST.2 => None,
        _ => Some("the password's hash costs more than m=262144, t=16 or p=16, which is too much for a server"),
    }
}

/// Whether the password is the one of the hash. Without a hash it works as long, and it is not.
pub fn fits(password: &SecretString, hash: Option<&str>) -> bool {
    let password = password.expose_secret().as_bytes();
    let Ok(known) = PasswordHash::new(hash.unwrap_or(NOBODY)) else { return false };
    let fits = password.len() <= LONGEST && Argon2::default().verify_password(password, &known).is_ok();
    fits && hash.is_some_and(|hash| problem(hash).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let password = SecretString::from("correct horse");
        let made = hash(&password).unwrap();
        assert_eq!(problem(&made), None);
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        assert!(fits(&password, Some(&made)));
        assert!(!fits(&SecretString::from("correct hors"), Some(&made)));
        assert!(!fits(&password, None) && !fits(&SecretString::from(""), None));
        assert!(PasswordHash::new(NOBODY).is_ok() && problem(NOBODY).is_none(), "checking takes its time");
    }

    #[test]
    fn a_hash_that_cannot_be_used_or_costs_too_much_is_told() {
        for (text, why) in [
            ("secret", "no argon2id hash"),
            ("$2b$12$abcdefghijklmnopqrstuv", "hash"),
            (
                "$argon2i$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmU$XkRhyzPhGOpu0s5qtHPdOHqJQBrNZTzhXTwCs8rXz0A",
                "not one of",
            ),
            (
                "$argon2id$v=19$m=9999999,t=2,p=1$bm9ib2R5IGlzIGhlcmU$XkRhyzPhGOpu0s5qtHPdOHqJQBrNZTzhXTwCs8rXz0A",
                "costs",
            ),
            ("$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmU", "not one of"),
        ] {
            assert!(problem(text).is_some_and(|told| told.contains(why)), "{text}: {:?}", problem(text));
        }
    }
}
