public import PortcullisCore
import PortcullisCrypto
import PortcullisWire

/// Makes tokens.
public final class TokenSigner {
    private let key: SigningKey
    private let hmac: HMACContext?
    /// The first segment with its dot: the same for every token of a key and a type.
    private let head: [UInt8]

    /// - Parameter type: the header's `typ`; nil for none.
    public init(_ key: SigningKey, type: String? = "JWT") {
        self.key = key
        hmac = if case .secret(let secret) = key.material { HMACContext(secret) } else { nil }
        var header = Array(#"{"alg":"\#(key.algorithm.rawValue)""#.utf8)
        if let type { header += Array(#","typ":"#.utf8) + JSONText.quoted(Array(type.utf8)) }
        if let kid = key.kid { header += Array(#","kid":"#.utf8) + JSONText.quoted(kid.bytes) }
        header.append(UInt8(ascii: "}"))
        head = Base64URL.encode(header) + [UInt8(ascii: ".")]
    }

    /// A token with these claims.
    /// - Parameter claims: names, and values as JSON text.
    /// - Throws: where a value is not JSON or a name stands twice.
    public func sign(_ claims: [(name: String, json: [UInt8])]) throws(KeyError) -> [UInt8] {
        var payload: [UInt8] = [UInt8(ascii: "{")]
        for (name, json) in claims {
            if payload.count > 1 { payload.append(UInt8(ascii: ",")) }
            payload += JSONText.quoted(Array(name.utf8)) + [UInt8(ascii: ":")] + json
        }
        payload.append(UInt8(ascii: "}"))
        var json = StrictJSON()
        do {
            try json.parse(payload.span)
            // A value such as `1,"sub":"x"` would make more claims than were given.
            guard json.kind(of: 0) == .object, json.members().reduce(0, { count, _ in count + 1 }) == claims.count
            else {
                throw JSONError.malformed(at: 0)
            }
        } catch {
            throw KeyError("A claim is no JSON value, or its name stands twice: strings need their quotes.")
        }
        return try sign(payload: payload)
    }

    /// A token with any bytes as its payload.
    public func sign(payload: [UInt8]) throws(KeyError) -> [UInt8] {
        var token = head
        token.append(contentsOf: Base64URL.encode(payload))
        do {
            let signature: [UInt8] =
                switch key.material {
                case .secret: hmac?.sign(token.span) ?? []
                case .pair(let key, let scheme): try key.sign(token.span, scheme)
                }
            token.append(UInt8(ascii: "."))
            token.append(contentsOf: Base64URL.encode(signature))
        } catch {
            throw KeyError("The token could not be signed: \(error).")
        }
        return token
    }
}

extension TokenSigner {
    /// A time as a claim: seconds, with the milliseconds as a fraction where there are any.
    public static func json(_ time: WallTime) -> [UInt8] {
        let (seconds, milliseconds) = time.milliseconds.magnitude.quotientAndRemainder(dividingBy: 1000)
        let sign = time.milliseconds < 0 ? "-" : ""
        guard milliseconds > 0 else { return Array("\(sign)\(seconds)".utf8) }
        return Array("\(sign)\(seconds).\(String(milliseconds + 1000).dropFirst())".utf8)
    }

    /// A text as a claim.
    public static func json(_ text: Identifier) -> [UInt8] {
        JSONText.quoted(text.bytes)
    }
}

/// Strings as JSON has them (RFC 8259, section 7).
enum JSONText {
    static func quoted(_ text: [UInt8]) -> [UInt8] {
        var json: [UInt8] = [UInt8(ascii: "\"")]
        for byte in String(decoding: text, as: UTF8.self).utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): json += [UInt8(ascii: "\\"), byte]
            case 0..<0x20: json += Array("\\u00".utf8) + Hexadecimal.encode([byte])
            default: json.append(byte)
            }
        }
        return json + [UInt8(ascii: "\"")]
    }
}
