//! Apple: Declarative Management. Switches declarations on, and later calls the device to fetch what has changed. It cannot
//! be switched off; it ends with the enrolment.

use serde::{Deserialize, Serialize};

/// Has the device fetch its declarations by check-in messages, which begin after it has acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclarativeManagement {}
