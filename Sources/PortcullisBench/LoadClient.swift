import CLinux
import Glibc

/// Many clients in one thread: opens connections, keeps them, answers pings, and sees them closed.
final class LoadClient {
    /// What an opening took.
    struct Opening {
        var count = 0
        /// From the first connect to the last answer, in ns.
        var elapsed: UInt64 = 0
        /// What the client itself used of its core meanwhile, in ns.
        var used: UInt64 = 0
    }

    /// How connections ended.
    struct Ending {
        var closed = 0
        /// How many had read a close frame before their end.
        var withFrame = 0
        /// Until the last close frame was read, in ns of CLOCK_MONOTONIC.
        var lastFrame: UInt64 = 0
    }

    /// How connections are given up.
    enum Farewell {
        /// The end of writing, as TCP has it.
        case orderly
        /// A reset, which leaves no port waiting.
        case reset
        /// Each third in another way: with a close frame, orderly, by a reset.
        case mixed
    }

    private enum State: UInt8 {
        case free
        case asked
        case open
        case told
    }

    private let set: Int32
    private var states: [State]
    private var events = [epoll_event](repeating: epoll_event(), count: 512)
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)
    private(set) var count = 0
    /// Bytes that came to open connections.
    private(set) var received = 0
    /// Pings that were answered.
    private(set) var pings = 0
    /// The last source address that was used; each opening takes new ones.
    private var source: UInt32 = 0x1_00_00

    private static let perSource = 4000
    private static let accepted = Array("HTTP/1.1 101 ".utf8)
    private static let pong: [UInt8] = [0x8A, 0x80, 1, 2, 3, 4]
    /// Code 1000.
    private static let goodbye: [UInt8] = [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xE8 ^ 2]

    init(files: Int) throws {
        states = Array(repeating: .free, count: files)
        set = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard set >= 0 else { throw BenchFailure("open an epoll set", errno: errno) }
    }

    deinit {
        closeAll(.reset)
        close(set)
    }

    // MARK: - Opening

    /// Opens connections and waits until all are admitted.
    ///
    /// - Parameters:
    ///   - window: how many handshakes are under way at once.
    ///   - rate: how many are begun in a second, whatever the server does; 0: as fast as the window lets.
    ///   - naps: whether it sleeps between them and begins those of a millisecond together; else it keeps the pace exactly, by looking
    ///     again and again, and its core for itself.
    func open(
        _ passports: Passports,
        to port: UInt16,
        window: Int,
        rate: Int = 0,
        naps: Bool = false
    ) throws -> Opening {
        let began = Machine.now()
        let used = Machine.ownTime()
        let step = rate > 0 ? 1_000_000_000 / UInt64(rate) : 0
        var asked = 0
        var answered = 0
        while answered < passports.count {
            while asked < passports.count, asked - answered < window {
                if step > 0, Machine.now() < began + UInt64(asked) * step { break }
                try ask(passports, asked, port)
                asked += 1
            }
            let idle = step > 0 && asked < passports.count
            let ready = wait(idle ? (naps ? 1 : 0) : 5000)
            guard ready > 0 || idle else { throw BenchFailure("\(passports.count - answered) handshakes hang.") }
            for index in 0..<ready where try takeAnswer(events[index].data.fd) { answered += 1 }
        }
        return Opening(count: answered, elapsed: Machine.now() - began, used: Machine.ownTime() - used)
    }

    private func ask(_ passports: Passports, _ index: Int, _ port: UInt16) throws {
        if index % Self.perSource == 0 { source += 1 }
        let descriptor = try Sockets.connect(to: port, source: source)
        guard Int(descriptor) < states.count else { throw BenchFailure("There are too many connections.") }
        try passports.withRequest(index) { try Sockets.send(descriptor, $0) }
        states[Int(descriptor)] = .asked
        count += 1
        Sockets.watch(set, descriptor)
    }

    private func wait(_ milliseconds: Int32) -> Int {
        let ready = events.withUnsafeMutableBufferPointer {
            epoll_wait(set, $0.baseAddress, Int32($0.count), milliseconds)
        }
        return Int(max(0, ready))
    }

    private func receive(_ descriptor: Int32) -> Int {
        buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT)) }
    }

    /// - Returns: whether it was the answer of a handshake.
    private func takeAnswer(_ descriptor: Int32) throws -> Bool {
        guard states[Int(descriptor)] == .asked else {
            serve(descriptor)
            return false
        }
        let size = receive(descriptor)
        guard size >= Self.accepted.count, buffer.starts(with: Self.accepted) else {
            let line = String(decoding: buffer.prefix(max(0, size)), as: UTF8.self).split(separator: "\r\n").first
            throw BenchFailure("A handshake was refused: \(line ?? "the connection was closed").")
        }
        states[Int(descriptor)] = .open
        return true
    }

    // MARK: - Keeping

    /// Reads what a connection has, and answers a ping.
    private func serve(_ descriptor: Int32) {
        let size = receive(descriptor)
        received += max(0, size)
        if size <= 0 {
            end(descriptor)
        } else if buffer[0] == 0x88 {
            states[Int(descriptor)] = .told
        } else if buffer[0] == 0x89 {
            write(descriptor, Self.pong)
            pings += 1
        }
    }

    private func write(_ descriptor: Int32, _ bytes: [UInt8]) {
        // The pointer is used within the call only.
        _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    private func end(_ descriptor: Int32) {
        states[Int(descriptor)] = .free
        close(descriptor)
        count -= 1
    }

    /// Serves the connections until a moment, or until that many bytes have come to them.
    func keep(until moment: UInt64, received target: Int = .max) {
        while received < target, Machine.now() < moment {
            let left = (moment - min(moment, Machine.now())) / 1_000_000
            for index in 0..<wait(Int32(clamping: left + 1)) { serve(events[index].data.fd) }
        }
    }

    // MARK: - Ending

    /// Waits until the server has closed all connections.
    /// - Parameter echo: pings beside it; it is not closed.
    func awaitClosing(beside echo: Echo? = nil) throws -> Ending {
        var ending = Ending()
        if let echo { Sockets.watch(set, echo.descriptor) }
        while count > 0 {
            let ready = wait(10_000)
            guard ready > 0 else { throw BenchFailure("\(count) connections were not closed within 10 s.") }
            for index in 0..<ready {
                let descriptor = events[index].data.fd
                if let echo, descriptor == echo.descriptor {
                    try echo.takePong()
                    continue
                }
                let wasTold = states[Int(descriptor)] == .told
                serve(descriptor)
                if states[Int(descriptor)] == .free {
                    ending.closed += 1
                    if wasTold { ending.withFrame += 1 }
                } else if states[Int(descriptor)] == .told {
                    ending.lastFrame = Machine.now()
                }
            }
        }
        return ending
    }

    /// Closes all connections.
    func closeAll(_ farewell: Farewell) {
        for descriptor in states.indices where states[descriptor] != .free {
            let descriptor = Int32(descriptor)
            switch (farewell, descriptor % 3) {
            case (.reset, _), (.mixed, 0): Sockets.resetAtClose(descriptor)
            case (.mixed, 1): write(descriptor, Self.goodbye)
            default: break
            }
            end(descriptor)
        }
    }
}
