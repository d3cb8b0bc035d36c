import Foundation
import PortcullisCore
import PortcullisWire
import TestKit
import Testing

@Suite(.enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
struct HandshakeVectorTests {
    struct Case: Decodable {
        let name: String
        let mode: String
        let input_hex: String
        let error: Failure?

        struct Failure: Decodable {}
    }

    struct Gadget: Decodable {
        let name: String
        let header_bytes_hex: String
    }

    func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.utf8.compactMap { Hexadecimal.value(of: $0) }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    /// None of these is a handshake of RFC 6455 for a path of the gate; for other gates' paths either.
    @Test func noRequestOfTheLLHTTPSuiteIsAnUpgrade() throws {
        struct File: Decodable { let cases: [Case] }
        let file = try JSONDecoder().decode(File.self, from: Data(try Vectors.read("llhttp/llhttp_request_cases.json")))
        #expect(file.cases.count == 162)
        var complete: [String] = []
        for item in file.cases {
            let input = bytes(item.input_hex)
            for base in ["/ws", "/", "/demo", "/url"] {
                let result = upgrade(input, base: try #require(BasePath(base)))
                #expect(outcome(result) != nil, "\(item.name)")
            }
            if case .complete(let length) = progress(input) {
                complete.append(item.name)
                // Strict llhttp may find fault with what follows the head, but never with the head.
                #expect(item.error == nil || length < input.count, "\(item.name)")
            }
        }
        // A handshake of a draft (hixie-76): well-formed HTTP, but without a version.
        #expect(complete == ["`upgrade` / Upgrade GET request"])
    }
}
extension HandshakeVectorTests {
    /// Each line is refused: as no header line, as a body, or because some reader would take it for `Transfer-Encoding`.
    @Test func noSmugglersHeaderIsTaken() throws {
        struct File: Decodable { let gadgets: [Gadget] }
        let file = try JSONDecoder().decode(File.self, from: Data(try Vectors.read("smuggler/te_gadgets.json")))
        #expect(file.gadgets.count == 1768)
        for gadget in file.gadgets {
            var request = Array("GET /ws HTTP/1.1\r\n".utf8)
            request += bytes(gadget.header_bytes_hex) + [0x0D, 0x0A]
            request += Handshake().bytes.dropFirst("GET /ws HTTP/1.1\r\n".utf8.count)
            #expect(outcome(upgrade(request)) != nil, "\(gadget.name)")
        }
    }
}
