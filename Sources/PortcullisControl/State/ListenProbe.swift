import CLinux
import Glibc

extension ListenAddress {
    /// Finds out whether a listener could stand here: binds once, without SO_REUSEPORT, and closes again. So a gate that is
    /// started a second time says so before it has started anything.
    ///
    /// - Parameter key: The setting that the address comes from, for the sentence: `listen`.
    /// - Throws: A sentence where it could not.
    public func probe(for key: String) throws(StartupError) {
        switch self {
        case .unix(let path): try probe(socket: path, key)
        case .tcp(let host, let port): try probe(host: host, port: port, key)
        }
    }

    private func probe(host: String, port: UInt16, _ key: String) throws(StartupError) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &list) == 0, let first = list else {
            throw StartupError("\(self) names no machine: set \(key) to an address of this one.")
        }
        defer { freeaddrinfo(first) }
        let number = Self.bindError(first.pointee)
        guard number != 0 else { return }
        throw sentence(number, key)
    }

    /// The error number of binding once; 0 where it went well.
    private static func bindError(_ info: addrinfo) -> Int32 {
        let descriptor = socket(info.ai_family, info.ai_socktype | O_CLOEXEC, info.ai_protocol)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var on: Int32 = 1
        // Connections of the last run may still stand in TIME_WAIT; they are no other program.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        return bind(descriptor, info.ai_addr, info.ai_addrlen) == 0 ? 0 : errno
    }

    private func sentence(_ number: Int32, _ key: String) -> StartupError {
        switch number {
        case EADDRINUSE:
            StartupError("\(self) is in use by another program: stop that one, or set \(key) to another address.")
        case EACCES:
            StartupError("\(self) needs a right that this user has not: set \(key) to a port from 1024 on.")
        case EADDRNOTAVAIL:
            StartupError("\(self) is not an address of this machine: set \(key) to one.")
        default:
            StartupError("\(self) cannot be listened on (\(systemText(number))): set \(key) to another address.")
        }
    }

    private func probe(socket path: String, _ key: String) throws(StartupError) {
        let status = portcullis_lstat(path)
        if status.error == 0 {
            guard status.is_socket else {
                throw StartupError("\(path) is there and is no socket: remove it, or set \(key) to another address.")
            }
            // A socket that nobody answers on was left behind, and is replaced.
            if (try? UnixSocket(connectingTo: path)) != nil { throw sentence(EADDRINUSE, key) }
        }
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        guard access(folder, W_OK | X_OK) == 0 else {
            throw StartupError(
                "\(self) cannot be made, for \(folder) is not a folder this user may write in: set \(key) anew."
            )
        }
    }
}
