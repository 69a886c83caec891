//! rtnetlink messages as bytes: the requests we make, and the few attributes we read of what the kernel tells.
//!
//! Reading goes attribute by attribute and looks at what we need only, so that a newer kernel's unknown nesting cannot
//! make us miss a link.

use std::net::IpAddr;

use rtnetlink::packet_core::{
    ErrorBuffer, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer, NetlinkMessage, NlasIterator,
};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeader, AddressMessage, CacheInfo};
use rtnetlink::packet_route::link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkHeader, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::addr::{Cidr, IfIndex, Mac};
use crate::vrrp::io::{Holding, Link};

/// IFAPROT_KEEPALIVED: the mark of an address that keepalived has put there (kernels from 5.18 on; others ignore it).
pub(crate) const IFAPROT_KEEPALIVED: u8 = 18;

const FOREVER: u32 = u32::MAX;
const HEADER_LEN: usize = 16;
const LINK_HEADER_LEN: usize = 16;
const ADDRESS_HEADER_LEN: usize = 8;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;

/// What a message of the kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// RTM_NEWLINK
    Link(Link),
    /// RTM_DELLINK
    LinkGone(IfIndex),
    /// RTM_NEWADDR
    Address(Address),
    /// RTM_DELADDR
    AddressGone(Address),
    /// NLMSG_ERROR: the answer to a request; 0 is success.
    Answer(i32),
    /// NLMSG_DONE: the end of a dump; 0 is success.
    Done(i32),
    /// NLMSG_OVERRUN: something was lost.
    Overrun,
}

/// An address as the kernel tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Its link.
    pub(crate) link: IfIndex,
    /// IFA_LOCAL where there is one (with a peer: ours), else IFA_ADDRESS.
    pub(crate) cidr: Cidr,
    /// IFA_ADDRESS where it is another: the point-to-point peer.
    pub(crate) peer: Option<IpAddr>,
    /// Not tentative (unless optimistic), and duplicate address detection has not failed.
    pub(crate) usable: bool,
    /// IFA_PROTO
    pub(crate) protocol: Option<u8>,
}

/// The fields of a message's header that matter to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Of the request it answers.
    pub(crate) sequence: u32,
    /// Port of the socket whose request caused it; 0 is the kernel itself.
    pub(crate) port: u32,
    /// A dump was disturbed by a change and has to be repeated.
    pub(crate) interrupted: bool,
}

/// Reads every message of a datagram; what is not for us, or cannot be read, is passed over.
pub(crate) fn parse(mut datagram: &[u8], mut each: impl FnMut(Header, Told)) {
    while let Ok(message) = NetlinkBuffer::new_checked(datagram) {
        let header = Header {
            sequence: message.sequence_number(),
            port: message.port_number(),
            interrupted: message.flags() & NLM_F_DUMP_INTR != 0,
        };
        if let Some(told) = told(message.message_type(), message.payload()) {
            each(header, told);
        }
        let length = (message.length() as usize).next_multiple_of(4).max(HEADER_LEN);
        datagram = datagram.get(length..).unwrap_or_default();
    }
}

fn told(kind: u16, payload: &[u8]) -> Option<Told> {
    match kind {
        RTM_NEWLINK => link(payload).map(Told::Link),
        RTM_DELLINK => link_header(payload).map(|header| Told::LinkGone(IfIndex(header.index))),
        RTM_NEWADDR => address(payload).map(Told::Address),
        RTM_DELADDR => address(payload).map(Told::AddressGone),
        NLMSG_ERROR => {
            let code = ErrorBuffer::new_checked(payload).ok()?.code();
            Some(Told::Answer(code.map_or(0, |code| code.get().saturating_neg())))
        }
        NLMSG_DONE => {
            let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
            Some(Told::Done(code.saturating_neg()))
        }
        NLMSG_OVERRUN => Some(Told::Overrun),
        NLMSG_NOOP => None,
        _ => None,
    }
}

/// The header of a link message; none where it is not about the link itself. A bridge tells with AF_BRIDGE of its
/// ports, and RTM_DELLINK then means "no longer a port".
fn link_header(payload: &[u8]) -> Option<LinkHeader> {
    let header = LinkHeader::parse(payload).ok()?;
    (header.interface_family == AddressFamily::Unspec && header.index != 0).then_some(header)
}

/// A link; none where the message has not its name and MTU (a wireless event).
fn link(payload: &[u8]) -> Option<Link> {
    let header = link_header(payload)?;
    let (mut name, mut mtu, mut mac, mut broadcast) = (None, None, Mac::default(), Mac::default());
    attributes(payload.get(LINK_HEADER_LEN..)?, |kind, value| match kind {
        IFLA_IFNAME => {
            let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
            name = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        }
        IFLA_MTU => mtu = value.first_chunk().map(|mtu| u32::from_ne_bytes(*mtu)),
        IFLA_ADDRESS => mac = six(value),
        IFLA_BROADCAST => broadcast = six(value),
        _ => {}
    });
    let flags = header.flags;
    Some(Link {
        index: IfIndex(header.index),
        name: name?,
        up: flags.contains(LinkFlags::Up | LinkFlags::Running),
        multicast: flags.contains(LinkFlags::Multicast),
        arp: !flags.contains(LinkFlags::Noarp),
        loopback: flags.contains(LinkFlags::Loopback),
        ethernet: header.link_layer_type == LinkLayerType::Ether,
        mac,
        broadcast,
        mtu: mtu?,
    })
}

fn six(value: &[u8]) -> Mac {
    value.try_into().map(Mac).unwrap_or_default()
}

fn address(payload: &[u8]) -> Option<Address> {
    let header = AddressHeader::parse(payload).ok()?;
    let (mut address, mut local, mut protocol) = (None, None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(header.flags.bits()));
    attributes(payload.get(ADDRESS_HEADER_LEN..)?, |kind, value| match kind {
        IFA_ADDRESS => address = ip(value),
        IFA_LOCAL => local = ip(value),
        IFA_FLAGS => {
            if let Some(bits) = value.first_chunk() {
                flags = AddressFlags::from_bits_retain(u32::from_ne_bytes(*bits));
            }
        }
        IFA_PROTO => protocol = value.first().copied(),
        _ => {}
    });
    let tentative = flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    let own = local.or(address)?;
    Some(Address {
        link: IfIndex(header.index),
        cidr: Cidr { address: own, prefix: header.prefix_len },
        peer: address.filter(|address| *address != own),
        usable: !tentative && !flags.contains(AddressFlags::Dadfailed),
        protocol,
    })
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        16 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        _ => None,
    }
}

fn attributes(bytes: &[u8], mut each: impl FnMut(u16, &[u8])) {
    for attribute in NlasIterator::new(bytes) {
        let Ok(attribute) = attribute else { return };
        each(attribute.kind(), attribute.value());
    }
}

/// What is asked about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// RTM_NEWADDR
    Add,
    /// RTM_DELADDR
    Remove,
}

/// Appends the request to add or remove an address, with an answer wanted.
pub(crate) fn change_address(buffer: &mut Vec<u8>, change: Change, holding: &Holding, sequence: u32) {
    let virtual_address = &*holding.address;
    let cidr = virtual_address.cidr;
    let mut message = AddressMessage::default();
    message.header.family = family(cidr.address);
    message.header.index = holding.link.0;
    message.header.prefix_len = cidr.prefix;
    message.attributes = vec![
        AddressAttribute::Local(cidr.address),
        // With it the kernel compares the prefix too when it removes: 10.1.0.3/32 is not 10.1.0.3/24.
        AddressAttribute::Address(virtual_address.peer.unwrap_or(cidr.address)),
    ];
    let (request, flags) = match change {
        Change::Add => {
            if cidr.address.is_ipv4() {
                message.header.scope = virtual_address.scope.into();
            }
            attributes_to_add(&mut message.attributes, holding);
            // An IPv6 address that is there takes its new attributes; one of IPv4 would take some of them only.
            let there = if cidr.address.is_ipv6() { NLM_F_REPLACE } else { NLM_F_EXCL };
            (RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | there)
        }
        Change::Remove => (RouteNetlinkMessage::DelAddress(message), 0),
    };
    append(buffer, request, NLM_F_ACK | flags, sequence);
}

fn attributes_to_add(attributes: &mut Vec<AddressAttribute>, holding: &Holding) {
    let address = &*holding.address;
    if address.cidr.address.is_ipv4() {
        if let Some(broadcast) = address.broadcast {
            attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        if let Some(label) = &address.label {
            attributes.push(AddressAttribute::Label(label.clone()));
        }
    } else if let Some(preferred) = address.preferred_secs {
        let mut lifetimes = CacheInfo::default();
        lifetimes.ifa_preferred = preferred;
        lifetimes.ifa_valid = FOREVER;
        attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
    let wanted = address.flags;
    let flags: AddressFlags = [
        (wanted.no_dad, AddressFlags::Nodad),
        (wanted.home, AddressFlags::Homeaddress),
        (wanted.manage_temporary, AddressFlags::Managetempaddr),
        (wanted.no_prefix_route, AddressFlags::Noprefixroute),
        (wanted.auto_join, AddressFlags::Mcautojoin),
    ]
    .into_iter()
    .filter_map(|(wanted, flag)| wanted.then_some(flag))
    .collect();
    if !flags.is_empty() {
        attributes.push(AddressAttribute::Flags(flags));
    }
    attributes.push(AddressAttribute::Protocol(IFAPROT_KEEPALIVED.into()));
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// The request for all links.
pub(crate) fn dump_links(buffer: &mut Vec<u8>, sequence: u32) {
    let mut message = LinkMessage::default();
    // Counters are most of a link's bytes.
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    append(buffer, RouteNetlinkMessage::GetLink(message), NLM_F_DUMP, sequence);
}

/// The request for all addresses.
pub(crate) fn dump_addresses(buffer: &mut Vec<u8>, sequence: u32) {
    append(buffer, RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP, sequence);
}

fn append(buffer: &mut Vec<u8>, request: RouteNetlinkMessage, flags: u16, sequence: u32) {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let start = buffer.len();
    buffer.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut buffer[start..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(datagram: &[u8]) -> Vec<(Header, Told)> {
        let mut all = Vec::new();
        parse(datagram, |header, told| all.push((header, told)));
        all
    }

    /// A message with its header: kind, flags 0, sequence 7, port 9.
    fn message(kind: u16, payload: &[&[u8]]) -> Vec<u8> {
        let payload = payload.concat();
        let length = (HEADER_LEN + payload.len()) as u32;
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([kind.to_ne_bytes(), 0_u16.to_ne_bytes()].concat());
        bytes.extend([7_u32.to_ne_bytes(), 9_u32.to_ne_bytes()].concat());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [(4 + value.len() as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// ifinfomsg of link 5, Ethernet, up and running.
    fn link_info(family: u8) -> Vec<u8> {
        let mut bytes = vec![family, 0, 1, 0, 5, 0, 0, 0];
        bytes.extend((libc::IFF_UP as u32 | libc::IFF_RUNNING as u32).to_ne_bytes());
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn a_link_that_says_no_mtu_is_passed_over() {
        let name = attribute(IFLA_IFNAME, b"wlan0\0");
        let mtu = attribute(IFLA_MTU, &1500_u32.to_ne_bytes());
        assert_eq!(all(&message(RTM_NEWLINK, &[&link_info(0), &name])), []);
        let told = all(&message(RTM_NEWLINK, &[&link_info(0), &name, &mtu]));
        assert!(
            matches!(told.as_slice(), [(_, Told::Link(link))] if link.up && link.mac == Mac::default()),
            "{told:?}"
        );
    }

    #[test]
    fn what_a_bridge_says_of_its_ports_is_not_about_the_link() {
        const AF_BRIDGE: u8 = 7;
        assert_eq!(all(&message(RTM_DELLINK, &[&link_info(AF_BRIDGE)])), []);
        let header = Header { sequence: 7, port: 9, interrupted: false };
        assert_eq!(all(&message(RTM_DELLINK, &[&link_info(0)])), [(header, Told::LinkGone(IfIndex(5)))]);
    }

    #[test]
    fn an_attribute_of_the_wrong_length_does_not_hide_the_message() {
        let header = [2, 24, 0x80, 0, 5, 0, 0, 0];
        let own = attribute(IFA_LOCAL, &[10, 0, 0, 1]);
        let odd = attribute(IFA_ADDRESS, &[1, 2, 3]);
        let told = all(&message(RTM_NEWADDR, &[&header, &odd, &own]));
        let cidr = Cidr { address: [10, 0, 0, 1].into(), prefix: 24 };
        assert!(matches!(told.as_slice(), [(_, Told::Address(address))] if address.cidr == cidr), "{told:?}");
    }

    #[test]
    fn answers_say_errno_and_several_messages_share_a_datagram() {
        let answer = |errno: i32| message(NLMSG_ERROR, &[&(-errno).to_ne_bytes(), &[0; HEADER_LEN]]);
        let told: Vec<_> = all(&[answer(0), answer(libc::EEXIST)].concat()).into_iter().map(|(_, told)| told).collect();
        assert_eq!(told, [Told::Answer(0), Told::Answer(libc::EEXIST)]);
    }

    proptest! {
        #[test]
        fn no_datagram_can_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            all(&bytes);
        }

        #[test]
        fn no_payload_can_stop_the_reader(
            kind in prop_oneof![Just(RTM_NEWLINK), Just(RTM_DELLINK), Just(RTM_NEWADDR), Just(RTM_DELADDR),
                Just(NLMSG_ERROR), Just(NLMSG_DONE)],
            payload in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            all(&message(kind, &[&payload]));
        }
    }
}
