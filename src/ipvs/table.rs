//! An IPVS table: services with their destinations.

use std::collections::BTreeMap;

use crate::wire::ipvs::{Dest, DestKey, Service, ServiceKey};

/// Services with their destinations.
pub type Table = BTreeMap<ServiceKey, Entry>;

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its settings.
    pub service: Service,
    /// Its destinations.
    pub dests: BTreeMap<DestKey, Dest>,
}
