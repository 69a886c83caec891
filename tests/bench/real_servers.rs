//! Many real servers in one thread: each address has a socket of its own, so that each can die for itself. They count
//! what they are asked, and know when each was asked last.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keepalived_rs::sys::clock;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

/// What they all listen on.
pub(crate) const PORT: u16 = 8001;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nOK\n";

/// The address of a real server.
pub(crate) fn address(server: usize) -> Ipv4Addr {
    // Below 127.2: what is special about 127.0.0.1 is nothing to them.
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 2, 0, 0)) + server as u32)
}

/// The servers, as long as this lives.
pub(crate) struct RealServers {
    told: Arc<Told>,
    orders: Option<Sender<usize>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the thread tells.
struct Told {
    answered: AtomicU64,
    /// Of each server that died, when it had answered last.
    last: Mutex<BTreeMap<usize, Duration>>,
}

impl RealServers {
    /// To be called in the network namespace where they are to live. Those that `talk` answer as a web server does, the
    /// others close what connects.
    pub(crate) fn start(addresses: &[Ipv4Addr], talk: bool) -> Self {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        let told = Arc::new(Told { answered: AtomicU64::new(0), last: Mutex::default() });
        let (orders, ordered) = channel();
        let mut farm = Farm::new(addresses, talk, Arc::clone(&told)).expect("servers");
        let thread = std::thread::spawn(move || {
            let mut second = CpuSet::new();
            second.set(1).expect("a small number");
            // With one processor there is none to choose.
            let _ = sched_setaffinity(Pid::from_raw(0), &second);
            farm.run(&ordered).expect("servers");
        });
        Self { told, orders: Some(orders), thread: Some(thread) }
    }

    /// Checks that were answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.told.answered.load(Ordering::Relaxed)
    }

    /// From now on nobody listens there.
    pub(crate) fn kill(&self, server: usize) {
        let orders = self.orders.as_ref().expect("it runs");
        orders.send(server).expect("it runs");
    }

    /// The servers that died, and when each had answered last; those that were never asked are left out.
    pub(crate) fn dead(&self) -> Vec<(usize, Duration)> {
        self.told.last.lock().unwrap().iter().map(|(server, last)| (*server, *last)).collect()
    }
}

impl Drop for RealServers {
    fn drop(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Farm {
    epoll: Epoll,
    talk: bool,
    listeners: Vec<Option<TcpListener>>,
    /// Connections that have not asked yet, with whom they speak to.
    open: Vec<Option<(usize, TcpStream)>>,
    free: Vec<usize>,
    last: Vec<Option<Duration>>,
    told: Arc<Told>,
}

impl Farm {
    fn new(addresses: &[Ipv4Addr], talk: bool, told: Arc<Told>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut listeners = Vec::new();
        for (server, address) in addresses.iter().enumerate() {
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::from((*address, PORT)).into())?;
            socket.listen(1_024)?;
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, server as u64))?;
            listeners.push(Some(TcpListener::from(socket)));
        }
        Ok(Self { epoll, talk, listeners, open: Vec::new(), free: Vec::new(), last: vec![None; addresses.len()], told })
    }

    fn run(&mut self, orders: &Receiver<usize>) -> io::Result<()> {
        let mut events = vec![EpollEvent::empty(); 256];
        loop {
            loop {
                match orders.try_recv() {
                    Ok(server) => self.kill(server),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(()),
                }
            }
            let count = self.epoll.wait(&mut events, EpollTimeout::from(10_u8))?;
            for event in &events[..count] {
                match (event.data() as usize).checked_sub(self.listeners.len()) {
                    None => self.accept(event.data() as usize),
                    Some(place) => self.answer(place),
                }
            }
        }
    }

    fn accept(&mut self, server: usize) {
        while let Some(Ok((stream, _))) = self.listeners[server].as_ref().map(TcpListener::accept) {
            if !self.talk {
                self.done(server);
                continue;
            }
            stream.set_nonblocking(true).unwrap();
            let place = self.free.pop().unwrap_or_else(|| {
                self.open.push(None);
                self.open.len() - 1
            });
            let event = EpollEvent::new(EpollFlags::EPOLLIN, (self.listeners.len() + place) as u64);
            self.epoll.add(stream.as_fd(), event).unwrap();
            self.open[place] = Some((server, stream));
        }
    }

    fn answer(&mut self, place: usize) {
        let Some((server, mut stream)) = self.open[place].take() else { return };
        self.free.push(place);
        // The request is one small packet.
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(ANSWER);
        self.done(server);
    }

    fn done(&mut self, server: usize) {
        self.told.answered.fetch_add(1, Ordering::Relaxed);
        let now = Duration::from_nanos(clock::now().nanos());
        self.last[server] = Some(now);
        if self.listeners[server].is_none() {
            self.told.last.lock().unwrap().insert(server, now);
        }
    }

    /// Who is connected already is answered; nobody else is.
    fn kill(&mut self, server: usize) {
        self.accept(server);
        self.listeners[server] = None;
        let last = self.last[server];
        self.told.last.lock().unwrap().extend(last.map(|last| (server, last)));
    }
}
