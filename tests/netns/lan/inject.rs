//! Frames that no daemon would send.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, MsgFlags, sendto};

use super::{Lan, space};

/// A frame to 224.0.0.18 with this VRRP packet. Shorter than 60 bytes it is padded, as network cards do.
pub(crate) fn multicast_frame(source: [u8; 4], vrrp: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 2, 0, 0, 0, 0, source[3], 0x08, 0x00];
    let length = 20 + vrrp.len() as u16;
    let mut header = vec![0x45, 0xc0, (length >> 8) as u8, length as u8, 0, 1, 0, 0, 255, 112, 0, 0];
    header.extend(source);
    header.extend([224, 0, 0, 18]);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(header);
    frame.extend(vrrp);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// The Internet checksum (RFC 1071).
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A version 2 advert of one address with no authentication, checksum and all.
pub(crate) fn advert_v2(vrid: u8, priority: u8, interval: u8, address: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0x21, vrid, priority, 1, 0, interval, 0, 0];
    packet.extend(address);
    packet.extend([0; 8]);
    let sum = checksum(&packet);
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// A version 3 advert of one IPv4 address to 224.0.0.18, checksum and all; the interval is in centiseconds.
pub(crate) fn advert_v3(source: [u8; 4], vrid: u8, priority: u8, interval: u16, address: [u8; 4]) -> Vec<u8> {
    let [high, low] = interval.to_be_bytes();
    let mut packet = vec![0x31, vrid, priority, 1, high, low, 0, 0];
    packet.extend(address);
    let pseudo_header = [&source[..], &[224, 0, 0, 18, 0, 112, 0, 12]].concat();
    let sum = checksum(&[pseudo_header, packet.clone()].concat());
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Sends frames out of a host's eth0.
pub(crate) struct Injector {
    socket: socket2::Socket,
    to: LinkAddr,
}

impl Injector {
    pub(crate) fn new(lan: &Lan, host: char) -> Self {
        space::within(lan.space(host), || {
            let socket =
                socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, None).expect("a packet socket");
            // The kernel takes from it which interface to send on, and the rest from the frame.
            let mut interfaces = getifaddrs().expect("the interfaces").filter(|i| i.interface_name == "eth0");
            let to = interfaces.find_map(|i| i.address?.as_link_addr().copied()).expect("eth0 is there");
            Self { socket, to }
        })
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        // A queue that is full for a moment is no failure of the test.
        let _ = sendto(self.socket.as_raw_fd(), frame, &self.to, MsgFlags::empty());
    }
}

/// A stream of frames that goes on until it is stopped or dropped.
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// So many frames a second, each made from its number.
    pub(crate) fn start(injector: Injector, per_second: u32, frame: fn(u32) -> Vec<u8>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU32::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let due = (begun.elapsed().as_secs_f64() * f64::from(per_second)) as u32;
                for number in count.load(Ordering::Relaxed)..due {
                    injector.send(&frame(number));
                }
                count.store(due, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { stop, sent, thread: Some(thread) }
    }

    /// Ends it and says how many frames there were.
    pub(crate) fn stop(mut self) -> u32 {
        self.finish();
        self.sent.load(Ordering::Relaxed)
    }

    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.finish();
    }
}
