import Glibc
import PortcullisCore
import PortcullisTokens

/// Requests that stand ready before the clock starts, each with a token of its own: the ids of user, session and token are distinct
/// and have 36 bytes each.
struct Passports {
    private(set) var users: [String] = []
    private var bytes: [UInt8] = []
    private var ends = [0]

    var count: Int {
        users.count
    }

    init(_ count: Int, _ signer: TokenSigner) throws {
        var random = SystemRandomNumberGenerator()
        let now = Clock.wall()
        bytes.reserveCapacity(count * 640)
        for _ in 0..<count {
            let user = Self.id(&random)
            let token = try signer.sign([
                ("sub", Self.quoted(user)), ("sid", Self.quoted(Self.id(&random))),
                ("jti", Self.quoted(Self.id(&random))), ("iat", TokenSigner.json(now)),
                ("exp", TokenSigner.json(now + .seconds(3600))),
            ])
            let head =
                "GET /ws HTTP/1.1\r\nHost: gate.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \(Self.key(&random))\r\nAuthorization: Bearer "
            bytes += Array(head.utf8)
            bytes += token
            bytes += Array("\r\n\r\n".utf8)
            ends.append(bytes.count)
            users.append(user)
        }
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
