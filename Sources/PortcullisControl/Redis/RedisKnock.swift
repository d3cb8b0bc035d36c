import Glibc

/// Asks a Redis on a unix socket how it is, in as few words as possible: the links of the gate do not exist yet.
///
/// Every call may block its thread.
enum RedisKnock {
    enum Answer: Equatable, Sendable {
        /// It takes commands; the process that listens.
        case ready(pid_t)
        /// It reads its data, and will take commands.
        case loading(pid_t)
        /// Somebody listens and does not answer, or answers otherwise.
        case silent(pid_t?)
        /// Nobody listens.
        case nobody
    }

    /// One PING.
    static func ping(_ path: String, within milliseconds: Int64) -> Answer {
        let socket: UnixSocket
        do {
            socket = try UnixSocket(connectingTo: path)
        } catch {
            // A full queue of connections is a process that listens.
            return error.number == EAGAIN ? .silent(nil) : .nobody
        }
        guard let pid = socket.peer, socket.send("*1\r\n$4\r\nPING\r\n") else { return .silent(socket.peer) }
        guard let line = socket.line(within: milliseconds) else { return .silent(pid) }
        if line == "+PONG" { return .ready(pid) }
        return line.hasPrefix("-LOADING") ? .loading(pid) : .silent(pid)
    }

    /// Asks it to write what it has and to end; false where it did not take the order.
    static func shutDown(_ path: String, within milliseconds: Int64) -> Bool {
        guard let socket = try? UnixSocket(connectingTo: path), socket.send("*1\r\n$8\r\nSHUTDOWN\r\n") else {
            return false
        }
        // It answers only where it refuses.
        return socket.line(within: milliseconds) == nil
    }
}
