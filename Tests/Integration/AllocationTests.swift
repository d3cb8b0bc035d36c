import Foundation
import PortcullisCore
import PortcullisReactor
import PortcullisTokens
import TestKit
import Testing

/// How often a loop asks for memory for what it does all day: for a handshake that it admits, and for a message that it delivers. Each call
/// costs time, and what they leave behind is what a heap is fragmented by; a count tells of it on any machine, however busy, where seconds
/// do not.
///
/// The optimised program is measured, as people run it: one built for debugging asks some hundred times more. Counted is what the thread of
/// the second of two loops asks for (see ``LoopMeter``), the first has Redis to look after: so what sessions and messages cost there is
/// not in these numbers. What OpenSSL asks for is: four times for an HMAC and a SHA-256.
///
/// The bounds are the counts of today. Who makes one smaller writes the smaller number here.
@Suite(
    .serialized,
    .enabled(
        if: FileManager.default.isExecutableFile(atPath: GateProcess.release),
        "the optimised program is not there: swift build -c release --product portcullis"
    )
)
struct AllocationTests {
    private static let secret = Array("a secret that is long enough for HS256, really".utf8)
    /// The program may be of another day than its sources.
    private static let hint: Comment = "of the program that swift build -c release --product portcullis has built last"

    // MARK: - Handshakes

    /// What a client shows.
    enum Handshake: String, CustomTestStringConvertible {
        case raw = "a token of HS256, raw"
        case version1 = "a token of HS256, portcullis.v1"
        case tokenAgain = "a token of ES256 that was verified before, raw"
        case knownSession = "a server session that was read before, raw"

        var testDescription: String { rawValue }
    }

    @Test(arguments: [
        (Handshake.raw, 10), (.version1, 31), (.tokenAgain, 5), (.knownSession, 6),
    ])
    func handshake(_ kind: Handshake, bound: Int) throws {
        let house = try House(kind == .tokenAgain ? .es256 : .hs256)
        if kind == .knownSession {
            let session = #"{"user_id":"alice","created_at":\#(Int(Date().timeIntervalSince1970) - 60)}"#
            try house.redis.ask("SET", "session:\(House.session)", session, "EX", "600")
        }
        let again = try house.token()
        let count = try house.allocations(perConnection: 250) {
            switch kind {
            case .raw, .version1: "Authorization: Bearer \(try house.token())"
            case .tokenAgain: "Authorization: Bearer \(again)"
            case .knownSession: "Cookie: session_id=\(House.session)\r\nOrigin: http://\(house.endpoint)"
            }
        } more: {
            kind == .version1 ? ["Sec-WebSocket-Protocol: portcullis.v1"] : []
        }
        print("allocations for a handshake with \(kind.rawValue): \(count)")
        // Rounded: a sweep or a table that grows may come in between, once in a hundred handshakes.
        #expect(Int(count.rounded()) <= bound, Self.hint)
    }

    // MARK: - Messages

    /// A message is taken from the mailbox and encoded once, whoever hears it.
    @Test(arguments: [(isRaw: true, bound: 3), (isRaw: false, bound: 17)])
    func message(isRaw: Bool, bound: Int) throws {
        let house = try House(.hs256)
        let few = try Room(house, "few", members: 4, isRaw: isRaw)
        let many = try Room(house, "many", members: 40, isRaw: isRaw)
        let (inFew, inMany) = (try few.allocationsPerMessage(), try many.allocationsPerMessage())
        let perDelivery = (inMany - inFew) / Double(many.members.count - few.members.count)
        print("allocations for a message, \(isRaw ? "raw" : "portcullis.v1"): \(inFew), for a delivery \(perDelivery)")
        #expect(perDelivery < 0.02, Self.hint)
        #expect(Int(inFew.rounded()) <= bound, Self.hint)
    }

    /// A gate of two loops, the second of which is metered.
    private final class House {
        static let session = "7b0c9d52-64b8-4d0e-9b7b-0f6f9c5a7a31"
        let redis: RedisServer
        let endpoint: Endpoint
        let meter: LoopMeter
        private let gate: GateProcess
        private let signer: TokenSigner
        private let idle: Set<String>

        init(_ algorithm: Algorithm) throws {
            redis = try RedisServer()
            meter = try LoopMeter(in: redis.directory, thread: "loop 1")
            let key: SigningKey
            var tokens: String?
            if algorithm == .hs256 {
                key = try SigningKey(secret: AllocationTests.secret.span, algorithm: .hs256, source: "the test")
            } else {
                let pair = try KeyGenerator.pair(algorithm)
                let file = redis.directory.appending(path: "keys.json")
                try Data(pair.publicJWKS).write(to: file)
                tokens = #"jwks: "\#(file.path)""#
                key = try SigningKey.pem(pair.privatePEM, algorithm: algorithm, kid: pair.kid)
            }
            signer = try TokenSigner(key)
            gate = try GateProcess(
                redis,
                program: GateProcess.release,
                secret: AllocationTests.secret,
                settings: "loops: 2\nlimits: {messages_per_second: 100000}\n",
                tokens: tokens,
                environment: meter.environment
            )
            endpoint = try gate.endpoint()
            idle = try gate.descriptors()
        }

        /// Nobody has the same twice.
        func token(roles: String? = nil) throws -> String {
            let now = Int(Date().timeIntervalSince1970)
            var claims = [
                ("sub", "\"\(UUID().uuidString)\""), ("jti", "\"\(UUID().uuidString)\""), ("iat", "\(now)"),
                ("exp", "\(now + 600)"),
            ]
            if let roles { claims.append(("permissions", roles)) }
            return String(decoding: try signer.sign(claims.map { (name: $0.0, json: Array($0.1.utf8)) }), as: UTF8.self)
        }

        /// Lets many connect and go until the tables have grown, and again.
        /// - Returns: how many allocations there are for each that the loop accepted, in the best of some rounds: what comes with the time
        ///   and not with a handshake is not in each of them alike.
        func allocations(
            perConnection count: Int,
            with credential: () throws -> String,
            more: () -> [String]
        ) throws -> Double {
            var best = Double.infinity
            for round in 0..<5 {
                let headers = try (0..<count).map { _ in try [credential()] + more() }
                let before = try meter.read()
                var peers = try headers.map { try WebSocketPeer(endpoint, headers: $0) }
                let spent = try meter.read() - before
                #expect(peers.allSatisfy { $0.status == 101 })
                // The kernel spreads them over the loops.
                try #require(spent.accepted > count / 5)
                if round >= 2 { best = min(best, Double(spent.allocations) / Double(spent.accepted)) }
                peers = []
                try waitUntilIdle()
            }
            return best
        }

        private func waitUntilIdle() throws {
            for _ in 0..<1000 {
                if try gate.descriptors().isSubset(of: idle) { return }
                Thread.sleep(forTimeInterval: 0.01)
            }
            throw World.Vain(description: "waited in vain: all are gone")
        }
    }

    /// Members on the loop that is metered, and one on the other who speaks to them.
    private final class Room {
        private(set) var members: [WebSocketPeer] = []
        private let house: House
        private let name: String
        private let isRaw: Bool
        private let speaker: WebSocketPeer
        private var said = 0

        init(_ house: House, _ name: String, members count: Int, isRaw: Bool) throws {
            (self.house, self.name, self.isRaw) = (house, name, isRaw)
            var members: [WebSocketPeer] = []
            var speaker: WebSocketPeer?
            while members.count < count || speaker == nil {
                let token = try house.token(roles: #"{"doc:\#(name)":"editor"}"#)
                let before = try house.meter.read()
                let peer = try WebSocketPeer(
                    house.endpoint,
                    path: "/ws/doc:\(name)",
                    headers: ["Authorization: Bearer \(token)"]
                        + (isRaw ? [] : ["Sec-WebSocket-Protocol: portcullis.v1"])
                )
                try #require(peer.status == 101)
                if try (house.meter.read() - before).accepted == 0 {
                    // Others on that loop go again.
                    if speaker == nil { speaker = peer }
                } else if members.count < count {
                    members.append(peer)
                }
            }
            self.speaker = try #require(speaker)
            self.members = members
        }

        /// In the best of some rounds: see ``House/allocations(perConnection:with:more:)``.
        func allocationsPerMessage() throws -> Double {
            let messages = 100
            var best = Double.infinity
            for round in 0..<4 {
                let before = try house.meter.read()
                // One by one: else several would be taken from the mailbox at once.
                for _ in 0..<messages { try say() }
                let spent = try house.meter.read() - before
                if round > 0 { best = min(best, Double(spent.allocations) / Double(messages)) }
            }
            return best
        }

        /// Says something, and waits until everybody has heard it. Where the machine held all up for longer than the lease the gate froze, and
        /// has let go what was said meanwhile: then it is said anew.
        private func say() throws {
            var patience = 3
            while true {
                said += 1
                let data = 1_000_000 + said
                let text = isRaw ? "\(data)" : #"{"type":"publish","resource":"doc:\#(name)","data":\#(data)}"#
                try speaker.send(text: text)
                do {
                    for member in members { try hear("\(data)", member) }
                    return
                } catch {
                    patience -= 1
                    guard patience > 0, "\(error)".contains("timed out") else { throw error }
                }
            }
        }

        /// Passes over what was said before.
        private func hear(_ data: String, _ member: WebSocketPeer) throws {
            while true {
                switch try member.receive() {
                case .text(let text) where isRaw ? text == data : text.contains(#""data":\#(data)"#): return
                case .text, .ping: break
                case let other: throw World.Vain(description: "not a message but \(other)")
                }
            }
        }
    }
}
