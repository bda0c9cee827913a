//! Device management: what devices say and hear. (Each part says what it must not know.)
pub mod identity;
