import Foundation
import Synchronization

/// An HTTP server on 127.0.0.1 that answers every request the same way until it is told otherwise, and counts them. A thread a
/// connection: it blocks.
public final class KeyServer: Sendable {
    public enum Answer: Sendable {
        /// 200 with this body.
        case body([UInt8])
        case status(Int, location: String? = nil)
        /// Bytes that need not be HTTP; then the connection is closed.
        case raw([UInt8])
        /// The head of an answer and no end of the body.
        case stall([UInt8])
        /// Nothing, while the server lives.
        case silence
    }

    private struct State {
        var answers: [String: Answer] = [:]
        var requests: [String] = []
        var isClosed = false
    }

    private let listener: Int32
    public let port: Int
    private let state = Mutex(State())

    public struct Failure: Error {}

    public init(port: Int = 0) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        // Safe: the pointer is to a whole address and is used within the calls only.
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard listener >= 0, bound else { throw Failure() }
        self.port = Int(in_port_t(bigEndian: address.sin_port))
        Thread.detachNewThread { [weak self, listener] in
            while true {
                let peer = accept(listener, nil, nil)
                guard peer >= 0 else { break }
                Thread.detachNewThread { [weak self] in
                    self?.serve(peer)
                    close(peer)
                }
            }
            close(listener)
        }
    }

    deinit {
        stop()
    }

    /// Ends the listening: from then on connections are refused.
    public func stop() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        // Wakes the thread in accept(2), which then closes it.
        if isFirst { shutdown(listener, Int32(SHUT_RDWR)) }
    }

    public func url(_ path: String = "/keys", account: String = "") -> String {
        "http://\(account)127.0.0.1:\(port)\(path)"
    }

    /// What is answered on a path from now on.
    public func answer(_ answer: Answer, on path: String = "/keys") {
        state.withLock { $0.answers[path] = answer }
    }

    /// The heads of the requests for a path, in order.
    public func requests(_ path: String = "/keys") -> [String] {
        state.withLock { $0.requests }.filter { $0.hasPrefix("GET \(path) ") }
    }

    private func serve(_ peer: Int32) {
        guard let head = read(peer) else { return }
        let path = head.split(separator: " ").dropFirst().first.map(String.init) ?? ""
        let answer = state.withLock { state in
            state.requests.append(head)
            return state.answers[path] ?? .status(404)
        }
        switch answer {
        case .body(let body): write(peer, "HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n", body)
        case .status(let code, let location):
            let line = location.map { "Location: \($0)\r\n" } ?? ""
            write(peer, "HTTP/1.1 \(code) Whatever\r\n\(line)Content-Length: 0\r\n\r\n", [])
        case .raw(let bytes): write(peer, "", bytes)
        case .stall(let bytes):
            write(
                peer,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(String(bytes.count, radix: 16))\r\n",
                bytes
            )
            awaitEnd(peer)
        case .silence: awaitEnd(peer)
        }
        shutdown(peer, Int32(SHUT_WR))
        awaitEnd(peer)
    }

    /// Waits until the other end has closed.
    private func awaitEnd(_ peer: Int32) {
        var byte: UInt8 = 0
        while recv(peer, &byte, 1, 0) > 0 {}
    }

    private func read(_ peer: Int32) -> String? {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while !bytes.suffix(4).elementsEqual(Array("\r\n\r\n".utf8)) {
            guard bytes.count < 65536, recv(peer, &byte, 1, 0) == 1 else { return nil }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(_ peer: Int32, _ head: String, _ body: [UInt8]) {
        let bytes = Array(head.utf8) + body
        var sent = 0
        while sent < bytes.count {
            // Safe: the buffer is valid for its count while the closure runs.
            let count = bytes.withUnsafeBytes {
                send(peer, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }
}
