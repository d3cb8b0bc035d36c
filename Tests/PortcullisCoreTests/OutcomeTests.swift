import PortcullisCore
import Testing

@Suite struct OutcomeTests {
    /// protocol.md, *Refusals*: status, close code, codes.
    static let refusals: [(Int, UInt16?, [String])] = [
        (400, 1002, ["bad_request", "ambiguous_credential"]),
        (
            401, 4401,
            [
                "missing_credential", "malformed_token", "bad_signature", "unknown_key", "algorithm_forbidden",
                "type_forbidden", "expired", "not_yet_valid", "life_too_long", "wrong_issuer", "wrong_audience",
                "missing_claim", "unknown_session", "bad_ticket", "binding_mismatch",
            ]
        ),
        (401, 4410, ["revoked"]),
        (413, nil, ["body_forbidden"]),
        (403, nil, ["origin_forbidden"]),
        (403, 4403, ["forbidden_resource", "reauthentication_required"]),
        (403, 4423, ["blocked"]),
        (404, nil, ["not_found"]),
        (408, 4408, ["handshake_timeout"]),
        (426, nil, ["upgrade_required"]),
        (429, 4429, ["rate_limited", "too_many_connections"]),
        (431, nil, ["headers_too_large"]),
        (503, 1013, ["cannot_vouch", "store_unavailable", "draining", "at_capacity"]),
    ]

    /// protocol.md, *Close codes on a live connection*: code, reasons, what the client should do.
    static let closes: [(UInt16, [String], Reconnect)] = [
        (1000, ["bye"], .later),
        (1001, ["shutting_down"], .later),
        (1002, ["protocol_error"], .never),
        (1003, ["unsupported_data"], .never),
        (1007, ["invalid_payload"], .never),
        (1008, ["policy_violation"], .never),
        (1009, ["message_too_big"], .never),
        (1013, ["slow_consumer", "cannot_vouch"], .later),
        (4401, ["expired"], .reauthenticate),
        (4403, ["permission_revoked"], .never),
        (4408, ["authentication_timeout", "heartbeat_timeout"], .later),
        (4409, ["replaced"], .never),
        (4410, ["revoked", "session_ended"], .never),
        (4423, ["blocked"], .never),
        (4429, ["rate_limited"], .later),
    ]

    @Test func everyRefusalOfTheContract() throws {
        for (status, close, codes) in Self.refusals {
            for code in codes {
                let row = try #require(Outcome(rawValue: code), "\(code)").row
                #expect(row.status == status, "\(code)")
                #expect(row.closeCode == close, "\(code)")
            }
        }
    }

    @Test func everyCloseOfTheContract() throws {
        for (close, reasons, reconnect) in Self.closes {
            for reason in reasons {
                let row = try #require(Outcome(rawValue: reason), "\(reason)").row
                #expect(row.closeCode == close, "\(reason)")
                #expect(row.reconnect == reconnect, "\(reason)")
            }
        }
    }

    @Test func nothingBesideTheContract() {
        let known = Set(Self.refusals.flatMap(\.2) + Self.closes.flatMap(\.1))
        #expect(Set(Outcome.allCases.map(\.rawValue)) == known)
    }

    /// What a new credential mends says so; a close code may stand in a frame; a title is a sentence.
    @Test(arguments: Outcome.allCases) func rowsThatMakeSense(_ outcome: Outcome) {
        let row = outcome.row
        if row.closeCode == 4401 { #expect(row.reconnect == .reauthenticate) }
        if let code = row.closeCode { #expect((1000...1013).contains(code) || (4000...4999).contains(code)) }
        #expect((400...503).contains(row.status))
        #expect(row.title.hasSuffix("."))
        #expect(row.title.utf8.count <= 123)
        // The reason text of a close frame has room for 123 bytes.
        #expect(outcome.rawValue.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "_") })
    }
}
