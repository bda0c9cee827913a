//! Who is at the other end of a connection of the device listener, and how many connections one neighbour may hold.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::mdm::identity::signature::SignerCertificate;

/// What is known of a caller before it has said a word.
#[derive(Debug, Clone)]
pub struct Caller {
    pub neighbour: Neighbour,
    /// The address itself; `None` where it is not known.
    pub address: Option<IpAddr>,
    /// Whose key it proved to hold in the TLS handshake.
    pub certificate: Option<Arc<SignerCertificate>>,
}

/// An address as far as limits are concerned: an IPv4 address, or the /64 of an IPv6 one, because whoever has one address
/// of a /64 has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Neighbour(IpAddr);

impl<A: Into<IpAddr>> From<A> for Neighbour {
    fn from(address: A) -> Neighbour {
        Neighbour(match address.into().to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            address => address,
        })
    }
}

impl Neighbour {
    /// Whether it is this machine: a proxy, say, behind which anybody may be.
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// Counts the connections of each neighbour.
pub struct Crowd {
    limit: usize,
    /// Who holds how many, and whether it was told that they are too many. Nobody with none is in it.
    held: Mutex<HashMap<Neighbour, (usize, bool)>>,
}

/// A connection that is counted for as long as this lives.
pub struct Seat {
    crowd: Arc<Crowd>,
    neighbour: Neighbour,
}

impl Crowd {
    pub fn new(limit: usize) -> Arc<Crowd> {
        Arc::new(Crowd { limit, held: Mutex::default() })
    }

    /// A seat for one more connection, `None` when the neighbour holds as many as it may. Says so in the journal once,
    /// until the neighbour has gone.
    pub fn admit(self: &Arc<Crowd>, neighbour: Neighbour) -> Option<Seat> {
        let mut held = self.lock();
        let (count, told) = held.entry(neighbour).or_insert((0, false));
        if *count >= self.limit {
            if !std::mem::replace(told, true) {
                log::warn!(
                    "{neighbour} holds {count} connections to the device listener: more are closed at once. If that many \
                     devices share this address, raise [devices] max-connections-per-address"
                );
            }
            return None;
        }
        *count += 1;
        Some(Seat { crowd: self.clone(), neighbour })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Neighbour, (usize, bool)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.crowd.lock();
        if let Some((count, _)) = held.get_mut(&self.neighbour) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.neighbour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour(address: &str) -> Neighbour {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_neighbour_is_an_address_or_the_network_that_somebody_has_as_a_whole() {
        assert_eq!(neighbour("192.0.2.7"), neighbour("::ffff:192.0.2.7"));
        assert_ne!(neighbour("192.0.2.7"), neighbour("192.0.2.8"));
        assert_eq!(neighbour("2001:db8:1:2::7"), neighbour("2001:db8:1:2:ffff::1"));
        assert_ne!(neighbour("2001:db8:1:2::7"), neighbour("2001:db8:1:3::7"));
        assert_eq!(neighbour("2001:db8:1:2::7").to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn a_seat_is_free_again_when_its_holder_has_gone() {
        let crowd = Crowd::new(2);
        let (one, _two) = (crowd.admit(neighbour("192.0.2.7")).unwrap(), crowd.admit(neighbour("192.0.2.7")).unwrap());
        assert!(crowd.admit(neighbour("192.0.2.7")).is_none());
        assert!(crowd.admit(neighbour("192.0.2.8")).is_some(), "others are not concerned");
        drop(one);
        assert!(crowd.admit(neighbour("192.0.2.7")).is_some());
        assert_eq!(crowd.lock().len(), 1, "who has gone is forgotten");
    }
}
