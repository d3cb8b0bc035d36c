import CLinux
import Glibc

/// Where a socket listens or connects to: an address and port, or a path.
public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// An IPv4 or IPv6 address in text and a port.
    case tcp(address: String, port: UInt16)
    case unix(path: String)

    public var description: String {
        switch self {
        case .tcp(let address, let port): address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The addresses that a host name stands for; it asks the resolver and may block for seconds.
    public static func resolve(host: String, port: UInt16) throws(SocketError) -> [Endpoint] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(host, nil, &hints, &list)
        guard failure == 0 else {
            throw SocketError("look up \(host) (\(String(cString: gai_strerror(failure))))", errno: EHOSTUNREACH)
        }
        defer { freeaddrinfo(list) }
        var endpoints: [Endpoint] = []
        var next = list
        // The list is the resolver's own, valid until it is freed above.
        while let entry = next?.pointee {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let named = getnameinfo(
                entry.ai_addr,
                entry.ai_addrlen,
                &text,
                socklen_t(text.count),
                nil,
                0,
                NI_NUMERICHOST
            )
            if named == 0 {
                let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                endpoints.append(.tcp(address: String(decoding: bytes, as: UTF8.self), port: port))
            }
            next = entry.ai_next
        }
        return endpoints
    }

    var family: Int32 {
        switch self {
        case .tcp(let address, _): address.contains(":") ? AF_INET6 : AF_INET
        case .unix: AF_UNIX
        }
    }

    /// Calls a system call with the endpoint's `sockaddr`; EINVAL where the text is no address, ENAMETOOLONG where a path is too long.
    func withSockaddr(_ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> (result: Int32, errno: Int32) {
        var storage = sockaddr_storage()
        let length: socklen_t
        switch self {
        case .tcp(let address, let port):
            // The storage is large and aligned enough for every kind of address; the views live within the closures.
            let filled = withUnsafeMutableBytes(of: &storage) { raw -> socklen_t? in
                if family == AF_INET6 {
                    var inet = sockaddr_in6()
                    inet.sin6_family = sa_family_t(AF_INET6)
                    inet.sin6_port = port.bigEndian
                    guard inet_pton(AF_INET6, address, &inet.sin6_addr) == 1 else { return nil }
                    raw.storeBytes(of: inet, as: sockaddr_in6.self)
                    return socklen_t(MemoryLayout<sockaddr_in6>.size)
                }
                var inet = sockaddr_in()
                inet.sin_family = sa_family_t(AF_INET)
                inet.sin_port = port.bigEndian
                guard inet_pton(AF_INET, address, &inet.sin_addr) == 1 else { return nil }
                raw.storeBytes(of: inet, as: sockaddr_in.self)
                return socklen_t(MemoryLayout<sockaddr_in>.size)
            }
            guard let filled else { return (-1, EINVAL) }
            length = filled
        case .unix(let path):
            let bytes = Array(path.utf8)
            var local = sockaddr_un()
            local.sun_family = sa_family_t(AF_UNIX)
            guard bytes.count < MemoryLayout.size(ofValue: local.sun_path), !bytes.contains(0) else {
                return (-1, ENAMETOOLONG)
            }
            withUnsafeMutableBytes(of: &local.sun_path) { $0.copyBytes(from: bytes) }
            withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: local, as: sockaddr_un.self) }
            length = socklen_t(MemoryLayout<sockaddr_un>.size)
        }
        let result = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, length) }
        }
        return (result, result < 0 ? errno : 0)
    }
}

/// Where a connection comes from: an IPv6 address (an IPv4 one mapped into it) and a port; nil for a unix socket.
public struct PeerAddress: Hashable, Sendable {
    public let high: UInt64
    public let low: UInt64
    public let port: UInt16

    init?(_ storage: sockaddr_storage) {
        var storage = storage
        switch Int32(storage.ss_family) {
        case AF_INET:
            // The kernel has filled in the kind of address that the family names.
            let inet = withUnsafeBytes(of: &storage) { $0.load(as: sockaddr_in.self) }
            high = 0
            low = 0xFFFF_0000_0000 | UInt64(UInt32(bigEndian: inet.sin_addr.s_addr))
            port = UInt16(bigEndian: inet.sin_port)
        case AF_INET6:
            let inet = withUnsafeBytes(of: &storage) { $0.load(as: sockaddr_in6.self) }
            (high, low) = withUnsafeBytes(of: inet.sin6_addr) {
                (
                    UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
                    UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                )
            }
            port = UInt16(bigEndian: inet.sin6_port)
        default: return nil
        }
    }
}
