import Foundation
import PortcullisReactor
import PortcullisTokens
import TestKit
import Testing

/// Whether there is a strace, and it may be used.
private let canTrace = (try? Shell.run("strace -qq -o /dev/null true").code) == 0

/// Which system calls a loop makes for a handshake, as `strace` sees them: what must be, and nothing else.
@Suite(
    .serialized,
    .enabled(if: canTrace, "strace is not there, or may not be used: apt-get install strace")
)
struct SystemCallTests {
    private static let secret = Array("a secret that is long enough for HS256, really".utf8)
    private static let crowd = 200

    private func connect(_ endpoint: Endpoint, _ signer: TokenSigner) throws -> WebSocketPeer {
        let now = Int(Date().timeIntervalSince1970)
        let claims = [(name: "sub", json: Array(#""alice""#.utf8)), (name: "exp", json: Array("\(now + 600)".utf8))]
        let token = String(decoding: try signer.sign(claims), as: UTF8.self)
        return try WebSocketPeer(endpoint, headers: ["Authorization: Bearer \(token)"])
    }

    /// The second of two loops: the first has Redis to look after.
    private func loop(of gate: GateProcess) throws -> Int {
        let threads = "/proc/\(gate.pid)/task"
        let found = try FileManager.default.contentsOfDirectory(atPath: threads).first {
            try String(contentsOfFile: "\(threads)/\($0)/comm", encoding: .utf8) == "loop 1\n"
        }
        return try #require(found.flatMap { Int($0) })
    }

    @Test func handshakes() throws {
        let redis = try RedisServer()
        let gate = try GateProcess(redis, secret: Self.secret, settings: "loops: 2\n")
        let endpoint = try gate.endpoint()
        let signer = TokenSigner(try SigningKey(secret: Self.secret.span, algorithm: .hs256, source: "the test"))
        // Tables grow with the first.
        let idle = try gate.descriptors()
        var peers = try (0..<Self.crowd * 2).map { _ in try connect(endpoint, signer) }
        #expect(peers.allSatisfy { $0.status == 101 })
        peers = []
        try wait("the first are gone") { try gate.descriptors(beyond: idle).isEmpty }
        let loop = try loop(of: gate)
        let file = redis.directory.path + "/calls"
        let tracer = try Shell.Child("exec strace -qq -s 0 -p \(loop) -o \(file)")
        defer {
            // It ends with what it traces.
            gate.signal(SIGKILL)
            _ = tracer.end()
        }
        let status = "/proc/\(gate.pid)/task/\(loop)/status"
        try wait("strace is attached") {
            try !String(contentsOfFile: status, encoding: .utf8).contains("TracerPid:\t0\n")
        }
        peers = try (0..<Self.crowd).map { _ in try connect(endpoint, signer) }
        #expect(peers.allSatisfy { $0.status == 101 })
        // The answer may be here before strace has said that it was sent.
        try wait("strace has told of the last answer") { try calls(file)["sendto"] == calls(file)["accept4"] }
        let opening = try calls(file)
        peers = []
        let handshakes = opening["accept4"] ?? 0
        try #require(handshakes > 40)
        try wait("all are gone") { try calls(file)["close"] ?? 0 >= handshakes }
        try judge(opening, handshakes)
        let closing = try calls(file).merging(opening.mapValues { -$0 }, uniquingKeysWith: +).filter { $0.value > 0 }
        // The end of the stream is read, and nothing else is done about it: epoll forgets a descriptor that is closed.
        #expect(closing["close"] == handshakes)
        #expect(closing["recvfrom"] == handshakes)
        #expect(closing["epoll_ctl"] == nil && closing["sendto"] == nil && closing["shutdown"] == nil)
    }

    /// One of each, and what a turn takes.
    private func judge(_ calls: [String: Int], _ handshakes: Int) throws {
        var calls = calls
        for name in ["accept4", "epoll_ctl", "recvfrom", "sendto"] {
            #expect(calls.removeValue(forKey: name) == handshakes, "\(name)")
        }
        // Once a turn: whether there is another. Not more often than there are handshakes, if each comes by itself.
        #expect(calls.removeValue(forKey: "accept4 EAGAIN") ?? 0 <= handshakes)
        // A turn may also be one of the mail, which comes with each confirmation of the view, or of the sweep, each 50 ms.
        calls["epoll_wait"] = nil
        #expect(calls.removeValue(forKey: "read") ?? 0 < handshakes / 4)
        // Another thread is in the allocator, or in a mailbox, at the same moment.
        #expect(calls.removeValue(forKey: "futex") ?? 0 < handshakes / 4)
        #expect(calls == [:])
    }

    private func wait(_ what: String, _ condition: () throws -> Bool) throws {
        for _ in 0..<3000 {
            if try condition() { return }
            Thread.sleep(forTimeInterval: 0.01)
        }
        throw World.Vain(description: "waited in vain: \(what)")
    }

    /// How often each call was made; one that found nothing to do counts under its name with the error behind it.
    private func calls(_ file: String) throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n") {
            guard let name = line.split(separator: "(").first, line.contains(" = ") else { continue }
            let failure = line.contains("EAGAIN") ? " EAGAIN" : ""
            counts[name + failure, default: 0] += 1
        }
        return counts
    }
}
