import CLinux
import Glibc

/// The least a gate can do on this kernel: accept, read the request, write a fixed answer, keep the socket. One thread, raw epoll, and
/// nothing that is not a system call: what a gate costs beyond it is the gate's own doing.
struct Floor {
    /// What a byte on standard input asks for.
    enum Order {
        /// A close frame to everybody, then the descriptor is closed at once.
        static let closeAll = UInt8(ascii: "c")
        /// A close frame to everybody and the end of writing; the descriptor is closed when the peer has ended too, as a gate that
        /// keeps the close frame from being destroyed by a reset must do.
        static let halfCloseAll = UInt8(ascii: "h")
    }

    private static let answer = Array(
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n").utf8
    )
    private static let closeFrame: [UInt8] = [0x88, 0x09, 0x11, 0x3A] + Array("revoked".utf8)
    private static let textFrame: [UInt8] = [0x81, 0x01, UInt8(ascii: "1")]

    private let set: Int32
    private let listener: Int32
    /// A subscription whose every message is written on to the connection that was accepted last; -1: none.
    private var subscription: Int32 = -1
    private var last: Int32 = -1
    /// By descriptor: 0 free, 1 accepted, 2 answered.
    private var states: [UInt8]
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)
    /// No descriptor of a connection is greater.
    private var greatest: Int32 = 0
    /// Whether the process ends with its standard input.
    let endsWithInput: Bool
    /// Whether what one connection says is written to all others.
    let broadcasts: Bool

    init(port: UInt16, files: Int, endsWithInput: Bool, broadcasts: Bool) throws {
        self.endsWithInput = endsWithInput
        self.broadcasts = broadcasts
        states = Array(repeating: 0, count: files)
        set = epoll_create1(Int32(EPOLL_CLOEXEC))
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard set >= 0, listener >= 0 else { throw BenchFailure("open a socket", errno: errno) }
        Sockets.set(listener, SOL_SOCKET, SO_REUSEADDR)
        Sockets.set(listener, Int32(IPPROTO_TCP), TCP_NODELAY)
        let listener = listener
        guard Sockets.withAddress(Sockets.loopback(1, port: port), { bind(listener, $0, $1) }) == 0,
            listen(listener, 4096) == 0
        else { throw BenchFailure("listen on port \(port)", errno: errno) }
        Sockets.watch(set, listener)
        // Where standard input is a file there is nothing to wait for, and epoll says so.
        Sockets.watch(set, 0)
    }

    /// The port that the kernel chose where 0 was asked for.
    var port: UInt16 {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        // The kernel writes at most the length that it is given.
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &length) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// Follows a socket that is subscribed already.
    mutating func relay(_ subscription: Int32) {
        self.subscription = subscription
        Sockets.watch(set, subscription)
    }

    mutating func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 512)
        while true {
            let count = events.withUnsafeMutableBufferPointer {
                epoll_wait(set, $0.baseAddress, Int32($0.count), -1)
            }
            for index in 0..<Int(max(0, count)) {
                let descriptor = events[index].data.fd
                if descriptor == listener {
                    accept()
                } else if descriptor == 0 {
                    guard obey() else { return }
                } else if descriptor == subscription {
                    passOn()
                } else {
                    read(descriptor)
                }
            }
        }
    }

    private mutating func accept() {
        while true {
            let descriptor = accept4(listener, nil, nil, Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
            guard descriptor >= 0, Int(descriptor) < states.count else { return }
            states[Int(descriptor)] = 1
            last = descriptor
            greatest = max(greatest, descriptor)
            Sockets.watch(set, descriptor)
        }
    }

    private mutating func read(_ descriptor: Int32) {
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        if count > 0 {
            guard states[Int(descriptor)] == 1 else {
                if broadcasts { broadcast(count, from: descriptor) }
                return
            }
            states[Int(descriptor)] = 2
            write(descriptor, Self.answer)
        } else if count == 0 || errno != EAGAIN {
            end(descriptor)
        }
    }

    private mutating func end(_ descriptor: Int32) {
        states[Int(descriptor)] = 0
        if last == descriptor { last = -1 }
        close(descriptor)
    }

    private func write(_ descriptor: Int32, _ bytes: [UInt8]) {
        // The pointer is used within the call only.
        _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    private func broadcast(_ count: Int, from speaker: Int32) {
        guard greatest >= 0 else { return }
        // The pointer is used within the closure only, and the count is what was read into the buffer.
        buffer.withUnsafeBytes { bytes in
            for descriptor in 0...greatest where states[Int(descriptor)] == 2 && descriptor != speaker {
                _ = send(descriptor, bytes.baseAddress, count, Int32(MSG_NOSIGNAL))
            }
        }
    }

    private mutating func passOn() {
        let count = buffer.withUnsafeMutableBytes { recv(subscription, $0.baseAddress, $0.count, 0) }
        if count > 0, last >= 0 { write(last, Self.textFrame) }
    }

    /// - Returns: whether to go on.
    private mutating func obey() -> Bool {
        var order: UInt8 = 0
        guard Glibc.read(0, &order, 1) == 1 else {
            epoll_ctl(set, EPOLL_CTL_DEL, 0, nil)
            return !endsWithInput
        }
        guard order == Order.closeAll || order == Order.halfCloseAll else { return true }
        for descriptor in states.indices where states[descriptor] == 2 {
            write(Int32(descriptor), Self.closeFrame)
            shutdown(Int32(descriptor), Int32(SHUT_WR))
            if order == Order.closeAll { end(Int32(descriptor)) }
        }
        return true
    }
}
