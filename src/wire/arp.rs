//! Gratuitous ARP (RFC 5227 §3): "this address is at my hardware address now".

use std::net::Ipv4Addr;

use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet::packet::ethernet::{EtherTypes, MutableEthernetPacket};
use pnet::util::MacAddr;

use crate::addr::Mac;

const ETHERNET_LEN: usize = 14;
const ARP_LEN: usize = 28;

/// The whole frame: an ARP request from `mac` for its own `address`.
pub fn gratuitous(mac: Mac, broadcast: Mac, address: Ipv4Addr) -> [u8; ETHERNET_LEN + ARP_LEN] {
    let (mac, broadcast) = (MacAddr::from(mac.0), MacAddr::from(broadcast.0));
    let mut frame = [0; ETHERNET_LEN + ARP_LEN];
    let (ethernet, arp) = frame.split_at_mut(ETHERNET_LEN);
    let mut ethernet = MutableEthernetPacket::new(ethernet).expect("14 bytes are an Ethernet header");
    ethernet.set_destination(broadcast);
    ethernet.set_source(mac);
    ethernet.set_ethertype(EtherTypes::Arp);
    let mut arp = MutableArpPacket::new(arp).expect("28 bytes are an ARP packet");
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    // keepalived: a request, with the broadcast address as target
    arp.set_operation(ArpOperations::Request);
    arp.set_sender_hw_addr(mac);
    arp.set_sender_proto_addr(address);
    arp.set_target_hw_addr(broadcast);
    arp.set_target_proto_addr(address);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gratuitous_arp_is_keepalived_s_frame() {
        let frame = gratuitous(Mac([0xba, 0x60, 0x67, 0, 0xce, 0xfe]), Mac::BROADCAST, [10, 99, 0, 100].into());
        let captured: [u8; 42] = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xba, 0x60, 0x67, 0x00, 0xce, 0xfe, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00,
            0x06, 0x04, 0x00, 0x01, 0xba, 0x60, 0x67, 0x00, 0xce, 0xfe, 0x0a, 0x63, 0x00, 0x64, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0x0a, 0x63, 0x00, 0x64,
        ];
        assert_eq!(frame, captured);
    }
}
