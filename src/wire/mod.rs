//! Bytes to values and back, one file per protocol, no policy. Nothing here panics on any input.

pub mod arp;
pub mod checksum;
pub mod genl;
pub mod ipv4;
pub mod ipvs;
pub mod ndisc;
pub mod nft;
pub mod vrrp;
