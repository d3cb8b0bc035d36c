import Glibc

/// A system call on a socket that failed.
public struct SocketError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was tried, such as `bind 127.0.0.1:8080`.
    public let doing: String
    public let errno: Int32
    /// Why the stream could not be secured, where that was it.
    public let security: TLSFailure?

    public init(_ doing: String, errno: Int32, security: TLSFailure? = nil) {
        self.doing = doing
        self.errno = errno
        self.security = security
    }

    public var description: String {
        security?.description ?? "\(doing): \(Self.text(errno))"
    }

    /// Whether somebody else has the address.
    public var isAddressInUse: Bool {
        errno == EADDRINUSE
    }

    /// What the system calls an error number.
    public static func text(_ errno: Int32) -> String {
        String(cString: strerror(errno))
    }
}
