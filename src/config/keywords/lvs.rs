//! Virtual servers.

use crate::config::draft::GlobalDraft;
use crate::config::reader::{Given, Reader};

/// Reads `lvs_sync_daemon`.
pub fn sync_daemon(_: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    reader.is_first_sync_daemon(given.line.keyword.span);
}
