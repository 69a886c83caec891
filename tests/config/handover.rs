//! A configuration on its way to a child. That each configuration of this folder arrives whole, `kit` sees to.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use keepalived_rs::model::{Config, handover};

use crate::kit::read;

/// Three servers, the first two with the same checkers.
fn config(quorum_up: &str) -> Config {
    let server =
        |i: u8, port: u16| format!("real_server 10.0.0.{i} 80 {{\nTCP_CHECK {{\nconnect_port {port}\n}}\n}}\n");
    let servers = server(1, 81) + &server(2, 81) + &server(3, 82);
    read(&format!("virtual_server 10.1.1.1 80 {{\nquorum_up {quorum_up}\n{servers}}}\n")).config
}

#[test]
fn servers_with_the_same_checkers_share_them_on_the_other_side_too() {
    let taken = handover::from_bytes(&handover::to_bytes(&config("/bin/true")).unwrap()).unwrap();
    let servers = &taken.lvs.virtual_servers[0].real_servers;
    assert_eq!(servers[2].checkers.len(), 1);
    assert!(Arc::ptr_eq(&servers[0].checkers, &servers[1].checkers));
    assert!(!Arc::ptr_eq(&servers[1].checkers, &servers[2].checkers));
}

#[test]
fn a_file_name_need_not_be_text() {
    let mut config = config("/bin/true");
    let name = std::ffi::OsStr::from_bytes(b"/run/\xff.fifo");
    let global = Arc::make_mut(&mut config.global);
    global.reload_file = Some(Some(name.into()));
    let taken = handover::from_bytes(&handover::to_bytes(&config).unwrap());
    assert_eq!(taken, Ok(config));
}

#[test]
fn a_configuration_cut_anywhere_is_none() {
    let bytes = handover::to_bytes(&config("/bin/true")).unwrap();
    assert!((0..bytes.len()).all(|cut| handover::from_bytes(&bytes[..cut]).is_err()));
}
