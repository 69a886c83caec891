//! An IPVS table: services with their destinations.

use std::collections::BTreeMap;

use litemap::LiteMap;

use crate::wire::ipvs::{Dest, DestKey, Service, ServiceKey};

/// Services with their destinations.
pub type Table = BTreeMap<ServiceKey, Entry>;

/// Destinations in order, one after the other in memory: there may be very many, and they seldom change.
pub type Dests = LiteMap<DestKey, Dest>;

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its settings.
    pub service: Service,
    /// Its destinations.
    pub dests: Dests,
}
