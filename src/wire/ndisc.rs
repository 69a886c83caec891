//! Unsolicited neighbour advertisements (RFC 4861 §4.4, §7.2.6), IPv6's gratuitous ARP.

use std::net::Ipv6Addr;

use pnet::packet::ethernet::{EtherTypes, MutableEthernetPacket};
use pnet::packet::icmpv6::ndp::{
    MutableNdpOptionPacket, MutableNeighborAdvertPacket, NdpOptionTypes, NeighborAdvertFlags,
};
use pnet::packet::icmpv6::{Icmpv6Packet, Icmpv6Types, checksum};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv6::MutableIpv6Packet;
use pnet::util::MacAddr;

use crate::addr::Mac;

/// All nodes on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ETHERNET_LEN: usize = 14;
const IPV6_LEN: usize = 40;
const ADVERT_LEN: usize = 24;
const OPTION_LEN: usize = 8;
const FRAME_LEN: usize = ETHERNET_LEN + IPV6_LEN + ADVERT_LEN + OPTION_LEN;

/// The whole frame: `address` is at `mac`; `router` says that this node forwards.
pub fn unsolicited(mac: Mac, address: Ipv6Addr, router: bool) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    let (ethernet, rest) = frame.split_at_mut(ETHERNET_LEN);
    let (ipv6, icmp) = rest.split_at_mut(IPV6_LEN);
    write_advert(icmp, mac, address, router);

    let mut header = MutableIpv6Packet::new(ipv6).expect("40 bytes are an IPv6 header");
    header.set_version(6);
    header.set_payload_length((ADVERT_LEN + OPTION_LEN) as u16);
    header.set_next_header(IpNextHeaderProtocols::Icmpv6);
    header.set_hop_limit(255);
    header.set_source(address);
    header.set_destination(ALL_NODES);

    let mut header = MutableEthernetPacket::new(ethernet).expect("14 bytes are an Ethernet header");
    header.set_destination(MacAddr::new(0x33, 0x33, 0, 0, 0, 1)); // RFC 2464 §7 of ff02::1
    header.set_source(MacAddr::from(mac.0));
    header.set_ethertype(EtherTypes::Ipv6);
    frame
}

fn write_advert(icmp: &mut [u8], mac: Mac, address: Ipv6Addr, router: bool) {
    let mut advert = MutableNeighborAdvertPacket::new(icmp).expect("32 bytes hold a neighbour advertisement");
    advert.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
    // Solicited never, Override always
    let router = if router { NeighborAdvertFlags::Router } else { 0 };
    advert.set_flags(NeighborAdvertFlags::Override | router);
    advert.set_target_addr(address);
    let mut option =
        MutableNdpOptionPacket::new(advert.get_options_raw_mut()).expect("8 bytes hold a link-layer address option");
    option.set_option_type(NdpOptionTypes::TargetLLAddr);
    option.set_length(1);
    option.set_data(&mac.0);
    let sum = checksum(&Icmpv6Packet::new(icmp).expect("32 bytes hold an ICMPv6 header"), &address, &ALL_NODES);
    MutableNeighborAdvertPacket::new(icmp).expect("32 bytes hold a neighbour advertisement").set_checksum(sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([0xba, 0x60, 0x67, 0, 0xce, 0xfe]);
    const VIP: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x14, 1);

    #[test]
    fn an_unsolicited_advertisement_is_keepalived_s_frame() {
        let captured: [u8; FRAME_LEN] = [
            0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0xba, 0x60, 0x67, 0x00, 0xce, 0xfe, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00,
            0x00, 0x20, 0x3a, 0xff, 0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x14,
            0x00, 0x01, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
            0x88, 0x00, 0x69, 0x14, 0x20, 0x00, 0x00, 0x00, 0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x14, 0x00, 0x01, 0x02, 0x01, 0xba, 0x60, 0x67, 0x00, 0xce, 0xfe,
        ];
        assert_eq!(unsolicited(MAC, VIP, false), captured);
    }

    #[test]
    fn a_forwarding_node_says_that_it_is_a_router() {
        assert_eq!(unsolicited(MAC, VIP, true)[58], 0xa0);
    }
}
