import CLinux
import Glibc

/// The few calls on IPv4 sockets that the floor and the client share.
enum Sockets {
    /// A loopback address; `host` counts up from 127.0.0.0.
    static func loopback(_ host: UInt32, port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = (0x7F00_0000 | host & 0xFF_FFFF).bigEndian
        return address
    }

    static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32 = 1) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Lets a close be a reset.
    static func resetAtClose(_ descriptor: Int32) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    }

    /// Lends an address as the calls want it; both are of the size that is given.
    static func withAddress<Result>(
        _ address: sockaddr_in,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// A blocking connection to a port of 127.0.0.1.
    /// - Parameter source: which loopback address it comes from. Several of them keep the search for a free port short, and ports
    ///   that an earlier round left waiting (TIME_WAIT) out of the way.
    static func connect(to port: UInt16, source: UInt32 = 1) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw BenchFailure("open a socket", errno: errno) }
        set(descriptor, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT)
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
        guard withAddress(loopback(source, port: 0), { bind(descriptor, $0, $1) }) == 0,
            withAddress(loopback(1, port: port), { Glibc.connect(descriptor, $0, $1) }) == 0
        else {
            let number = errno
            Glibc.close(descriptor)
            throw BenchFailure("connect to port \(port)", errno: number)
        }
        return descriptor
    }

    /// Writes all bytes to a blocking socket in one call.
    static func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) throws {
        let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        guard count == bytes.count else { throw BenchFailure("send a request", errno: errno) }
    }

    static func close(_ descriptor: Int32) {
        Glibc.close(descriptor)
    }

    static func watch(_ set: Int32, _ descriptor: Int32) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.fd = descriptor
        epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event)
    }
}
