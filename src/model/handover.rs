//! A configuration on its way from the parent, which alone reads files, to its children: as bytes.
//!
//! The two are the same program, so there is no version in it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Checker, Config, Lvs};

/// The second part, which only the checker process takes; the first is a configuration without virtual servers.
#[derive(Serialize, Deserialize)]
struct Servers<L> {
    lvs: L,
    /// The lists of checkers that real servers have, each once.
    lists: Vec<Arc<[Arc<Checker>]>>,
    /// Which of them, for each real server in turn.
    chosen: Vec<usize>,
}

/// Why bytes are no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration from the parent is damaged: {0}")]
pub struct Damaged(String);

impl From<postcard::Error> for Damaged {
    fn from(error: postcard::Error) -> Self {
        Self(error.to_string())
    }
}

/// A configuration as bytes.
pub fn to_bytes(config: &Config) -> Result<Vec<u8>, Damaged> {
    let mut servers = Servers { lvs: &*config.lvs, lists: Vec::new(), chosen: Vec::new() };
    for server in config.lvs.virtual_servers.iter().flat_map(|vs| &vs.real_servers) {
        // Those with the same ones stand together, as a rule.
        if servers.lists.last().is_none_or(|last| !Arc::ptr_eq(last, &server.checkers)) {
            servers.lists.push(Arc::clone(&server.checkers));
        }
        servers.chosen.push(servers.lists.len() - 1);
    }
    let bytes = postcard::to_stdvec(&config.clone().without_virtual_servers())?;
    Ok(postcard::to_extend(&servers, bytes)?)
}

/// The configuration that bytes are, with its virtual servers; never panics.
pub fn from_bytes(bytes: &[u8]) -> Result<Config, Damaged> {
    let (common, rest): (Config, _) = postcard::take_from_bytes(bytes)?;
    let Servers::<Lvs> { mut lvs, lists, chosen } = postcard::from_bytes(rest)?;
    let mut chosen = chosen.into_iter();
    // Nobody else has them yet.
    let services = lvs.virtual_servers.iter_mut().filter_map(Arc::get_mut);
    for server in services.flat_map(|vs| &mut vs.real_servers).filter_map(Arc::get_mut) {
        let list = chosen.next().and_then(|i| lists.get(i));
        server.checkers = Arc::clone(list.ok_or_else(|| Damaged("a real server without checkers".into()))?);
    }
    Ok(Config { lvs: Arc::new(lvs), ..common })
}

/// As [`from_bytes`], without the virtual servers, which may be very many.
pub fn common_from_bytes(bytes: &[u8]) -> Result<Config, Damaged> {
    Ok(postcard::take_from_bytes(bytes)?.0)
}
