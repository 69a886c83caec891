//! A table in memory in the kernel's place, which others can look into.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Backend;
use crate::ipvs::keeper::Answer;
use crate::ipvs::marking::{Found, Marking};
use crate::ipvs::plan::Op;
use crate::ipvs::report::Request;
use crate::ipvs::stand_in::StandIn;
use crate::ipvs::table::Entry;
use crate::wire::ipvs::{Daemon, DaemonState, ServiceKey, Timeouts};
use crate::wire::nft;

/// A stand-in for the kernel that the thread and others share.
#[derive(Clone, Debug, Default)]
pub struct SharedStandIn(Arc<Mutex<StandIn>>);

impl SharedStandIn {
    /// What is there; the thread waits meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, StandIn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for SharedStandIn {
    fn open(&mut self) -> io::Result<[u8; 3]> {
        match self.lock().absent {
            None => Ok([1, 2, 1]),
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn change(&mut self, ops: &[Op]) -> io::Result<Vec<Answer>> {
        let mut kernel = self.lock();
        Ok(ops.iter().map(|op| Some(kernel.change(op))).collect())
    }

    fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        Ok(Some(self.lock().carry_out(request)))
    }

    fn services(&mut self) -> io::Result<Vec<ServiceKey>> {
        Ok(self.lock().table.keys().copied().collect())
    }

    fn entry(&mut self, key: &ServiceKey) -> io::Result<Option<Entry>> {
        let kernel = self.lock();
        match kernel.absent {
            None => Ok(kernel.table.get(key).cloned()),
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn daemons(&mut self) -> io::Result<Vec<(DaemonState, Daemon)>> {
        Ok(self.lock().daemons.clone())
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        Ok(self.lock().timeouts)
    }
    fn transact(&mut self, requests: &[nft::Request]) -> io::Result<()> {
        match self.lock().transact(requests) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn marking(&mut self, marking: &Marking) -> io::Result<Found> {
        Ok(self.lock().marking(marking))
    }
}
