import Foundation

/// Raw requests of the public vectors.
public struct HostileRequest: Sendable {
    public let name: String
    public let bytes: [UInt8]

    public init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }

    /// The 162 requests of llhttp's tests.
    public static func llhttp() throws -> [HostileRequest] {
        struct File: Decodable {
            struct Case: Decodable {
                let name: String
                let input_hex: String
            }

            let cases: [Case]
        }
        let data = Data(try Vectors.read("llhttp/llhttp_request_cases.json"))
        return try JSONDecoder().decode(File.self, from: data).cases.map {
            HostileRequest(name: $0.name, bytes: bytes($0.input_hex))
        }
    }

    /// The 1,768 header lines of the smuggler, each of which some server takes for `Transfer-Encoding: chunked`. Without a line's end.
    public static func smuggledLines() throws -> [HostileRequest] {
        struct File: Decodable {
            struct Gadget: Decodable {
                let name: String
                let header_bytes_hex: String
            }

            let gadgets: [Gadget]
        }
        let data = Data(try Vectors.read("smuggler/te_gadgets.json"))
        return try JSONDecoder().decode(File.self, from: data).gadgets.map {
            HostileRequest(name: $0.name, bytes: bytes($0.header_bytes_hex))
        }
    }

    private static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.utf8.compactMap { UInt8(String(UnicodeScalar($0)), radix: 16) }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
