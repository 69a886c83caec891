//! Servers as operators know them: in log lines, FIFO lines and mail.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::lvs::{Identity, Protocol};
use crate::model::{RealServer, VirtualServer};

/// `[192.0.2.1]:tcp:80`, `FWM 7`, `[NAME]:0` for the first virtual server of a group.
pub fn virtual_server(vs: &VirtualServer) -> Arc<str> {
    match &vs.identity {
        Identity::Address { address, port, protocol } => endpoint(*address, *protocol, *port),
        Identity::Mark { mark, .. } => format!("FWM {mark}").into(),
        Identity::Group { name, ordinal } => format!("[{name}]:{ordinal}").into(),
    }
}

/// `[192.0.2.11]:tcp:80`, with the protocol of its virtual server.
pub fn real_server(vs: &VirtualServer, rs: &RealServer) -> Arc<str> {
    endpoint(rs.address, vs.protocol, rs.port)
}

/// `[192.0.2.11]:tcp:80`
pub fn endpoint(address: IpAddr, protocol: Protocol, port: u16) -> Arc<str> {
    let protocol = match protocol {
        Protocol::None => "none",
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    format!("[{address}]:{protocol}:{port}").into()
}
