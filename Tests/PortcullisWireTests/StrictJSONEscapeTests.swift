import Foundation
import PortcullisCore
import PortcullisWire
import Testing

/// Texts are compared without being unescaped first: that must come to the same as Foundation's reading of them.
@Suite struct StrictJSONEscapeTests {
    static let texts = [
        "", "a", "\\u0061", "\\\\", "\\\"", "\\/", "\\b\\f\\n\\r\\t", "\\u0000", "a\\u0000b", "\\u00e9", "é",
        "e\\u0301",
        "\\u07ff", "\\u0800", "\\uffff", "\\ud83d\\ude00", "😀", "\\ud800\\udc00", "\\udbff\\udfff", "x\\ud83d\\ude00y",
        "\\u0041\\u0042", "AB", "A\\u0042", "\\u20AC", "€", "\\u000a", "\\n",
    ]

    @Test(arguments: texts) func twoNamesAreOneWhereTheirValuesAre(left: String) throws {
        func value(_ text: String) throws -> [UInt8] {
            let data = Data("\"\(text)\"".utf8)
            let read = try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed) as? String
            return Array(try #require(read).utf8)
        }
        for right in Self.texts {
            var json = StrictJSON()
            let text = Array(#"{"\#(left)":1,"\#(right)":2}"#.utf8)
            var isDuplicate = false
            do throws(JSONError) {
                try json.parse(text.span)
            } catch {
                isDuplicate = true
                guard case .duplicateMember = error else {
                    Issue.record("\(error)")
                    return
                }
            }
            #expect(isDuplicate == (try value(left) == value(right)), "\(left) \(right)")
        }
    }

    @Test func aNameIsFoundHoweverItIsWritten() throws {
        func equals(_ text: String, _ name: StaticString) throws -> Bool {
            var json = StrictJSON()
            let bytes = Array("\"\(text)\"".utf8)
            try json.parse(bytes.span)
            return json.equals(0, name, in: bytes.span)
        }
        #expect(
            try equals("cr\\u0069t", "crit") && equals("crit", "crit") && equals("\\u0063\\u0072\\u0069\\u0074", "crit")
        )
        #expect(try !equals("cr\\u0069", "crit") && !equals("cr\\u0069tx", "crit") && !equals("\\u0000crit", "crit"))
        #expect(try equals("\\ud83d\\ude00", "😀") && !equals("\\ud83d\\ude01", "😀") && equals("\\u20ac", "€"))
        #expect(try equals("\\u0000", "\0") && equals("", "") && !equals("\\u0000", ""))
    }
}
