import PortcullisCore
import PortcullisCrypto
import PortcullisRedis
import PortcullisWire
import Testing

@Suite("Signed events")
struct EventKeyTests {
    private let key: EventKey
    private let now = WallTime(milliseconds: 1_700_000_100_000)

    init() throws {
        let secret = [UInt8](repeating: UInt8(ascii: "k"), count: 32)
        key = EventKey(HMACKey(SecretBytes(secret.span), hash: .sha256))
    }

    /// What Python's json and hmac make of it: `json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`.
    private static let signature = "XQxiN491JnHiB7how0n0B8v3awBge-wQWCefIEvw6kc"
    private static let signed =
        #"{ "v":1,"event":"01J","type":"revoke","at_ms":1700000000123, "actor":"admin:ops","select":{"user":"al\u00efce"},"sig":"\#(signature)"}"#

    private func rejection(_ json: String, retention: Milliseconds? = .seconds(3600)) -> EventRejection? {
        do throws(EventRejection) {
            let trust = key.trust(now: now, retention: retention)
            _ = try EventCodec.decode(Array(json.utf8), roles: .standard, mayLackID: true, trust: trust)
            return nil
        } catch {
            return error
        }
    }

    @Test func anotherLanguagesSignatureIsValid() throws {
        #expect(rejection(Self.signed) == nil)
        let bare = Self.signed.replacing(#","sig":"\#(Self.signature)""#, with: "")
        #expect(rejection(bare) == .unsigned)
        let signed = String(decoding: try key.sign(Array(bare.utf8)), as: UTF8.self)
        #expect(signed.hasSuffix(#","sig":"\#(Self.signature)"}"#))
        #expect(rejection(signed) == nil)
    }

    @Test(arguments: [
        ("alïce", "alice"), (#"al\u00efce"#, "bob"), ("revoke", "reauthenticate"), ("1700000000123", "1700000000124"),
        ("01J", "01K"), (signature, String(signature.dropLast()) + "A"), (signature, String(signature.dropLast())),
        (signature, signature + "="), (signature, ""),
    ])
    func whateverIsChangedItIsNot(_ old: String, _ new: String) {
        let changed = Self.signed.replacing(old, with: new)
        // A text that holds no such part is the one that is valid.
        #expect((rejection(changed) == nil) == (changed == Self.signed))
        if changed != Self.signed, !new.hasPrefix("reauth") { #expect(rejection(changed) == .badSignature) }
    }

    @Test func whereItStandsDoesNotCount() throws {
        let other =
            #"{"sig":"\#(Self.signature)","select":{"user":"alïce"},"type":"revoke","v":1,"at_ms":1700000000123,"event":"01J","actor":"admin:ops"}"#
        #expect(rejection(other) == nil)
    }

    @Test func itsTimeMustFit() throws {
        func event(_ time: Int64) throws -> String {
            let json = #"{"v":1,"event":"e","type":"revoke","select":{"user":"a"},"at_ms":\#(time)}"#
            return String(decoding: try key.sign(Array(json.utf8)), as: UTF8.self)
        }
        let now = now.milliseconds
        for (time, expected) in [
            (now, nil), (now + 60_000, nil), (now + 60_001, .wrongTime), (now - 3_600_000, nil),
            (now - 3_600_001, .wrongTime),
        ] as [(Int64, EventRejection?)] {
            #expect(try rejection(event(time)) == expected, "\(time)")
        }
        // A decision that outlives the log is as old as it is.
        #expect(try rejection(event(1), retention: nil) == nil)
    }

    @Test(arguments: [#"{"v":1}"#, #"{"v":1,"event":"e"}"#, #"{"event":"e","at_ms":1,"sig":"x"}"#, "[]", "x"])
    func onlyAnEventIsSigned(_ json: String) {
        #expect(throws: EventRejection.self) { try key.sign(Array(json.utf8)) }
    }
}
