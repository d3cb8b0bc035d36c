import Glibc
import PortcullisCore
import PortcullisTokens

/// Requests that stand ready before the clock starts, each with a credential of its own: the ids of user, session and token are distinct
/// and have 36 bytes each.
struct Passports {
    /// What proves who somebody is.
    enum Proof {
        case token(TokenSigner)
        /// The id of a server session in a cookie. Whoever uses the passports puts the sessions into Redis.
        case session
    }

    /// What a request asks for beside a connection.
    struct Wish {
        /// The resource that the connection is bound to, where its user may speak.
        var room: String?
        var isVersion1 = false
    }

    private(set) var users: [String] = []
    /// The ids of the server sessions; empty where tokens are shown.
    private(set) var sessions: [String] = []
    private var bytes: [UInt8] = []
    private var ends = [0]

    var count: Int {
        users.count
    }

    init(_ count: Int, _ proof: Proof, _ wish: Wish = Wish()) throws {
        var random = SystemRandomNumberGenerator()
        let now = Clock.wall()
        bytes.reserveCapacity(count * 640)
        for _ in 0..<count {
            let user = Self.id(&random)
            bytes += Self.head(wish, &random)
            switch proof {
            case .token(let signer):
                bytes += Array("Authorization: Bearer ".utf8)
                bytes += try Self.token(user, wish, now, signer, &random)
            case .session:
                let session = Self.id(&random)
                sessions.append(session)
                bytes += Array("Cookie: session_id=\(session)\r\nOrigin: http://gate.example".utf8)
            }
            bytes += Array("\r\n\r\n".utf8)
            ends.append(bytes.count)
            users.append(user)
        }
    }

    private static func head(_ wish: Wish, _ random: inout SystemRandomNumberGenerator) -> [UInt8] {
        let path = wish.room.map { "/ws/\($0)" } ?? "/ws"
        let protocols = wish.isVersion1 ? "Sec-WebSocket-Protocol: portcullis.v1\r\n" : ""
        let head =
            "GET \(path) HTTP/1.1\r\nHost: gate.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \(key(&random))\r\n" + protocols
        return Array(head.utf8)
    }

    private static func token(
        _ user: String,
        _ wish: Wish,
        _ now: WallTime,
        _ signer: TokenSigner,
        _ random: inout SystemRandomNumberGenerator
    ) throws -> [UInt8] {
        var claims = [
            (name: "sub", json: quoted(user)), (name: "sid", json: quoted(id(&random))),
            (name: "jti", json: quoted(id(&random))), (name: "iat", json: TokenSigner.json(now)),
            (name: "exp", json: TokenSigner.json(now + .seconds(3600))),
        ]
        if let room = wish.room { claims.append((name: "permissions", json: Array(#"{"\#(room)":"editor"}"#.utf8))) }
        return try signer.sign(claims)
    }

    func withRequest<Result>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        // The part lies within the whole, and both are used within the call only.
        try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[ends[index]..<ends[index + 1]])) }
    }

    private static func quoted(_ text: String) -> [UInt8] {
        Array("\"\(text)\"".utf8)
    }

    /// Shaped as a UUID is.
    private static func id(_ random: inout SystemRandomNumberGenerator) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        var bits: UInt64 = 0
        for place in 0..<36 {
            if place % 16 == 0 { bits = random.next() }
            if [8, 13, 18, 23].contains(place) {
                text.append(UInt8(ascii: "-"))
            } else {
                text.append(digits[Int(bits & 15)])
            }
            bits >>= 4
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Sixteen bytes in base64: the last letter carries two bits only.
    private static func key(_ random: inout SystemRandomNumberGenerator) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let text = (0..<21).map { _ in letters[Int.random(in: 0..<64, using: &random)] }
        return String(decoding: text, as: UTF8.self) + "Q=="
    }
}

/// The wall clock as tokens have it.
enum Clock {
    static func wall() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
