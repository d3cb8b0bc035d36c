import PortcullisWire
import TestKit
import Testing

@Suite struct StrictJSONTests {
    func error(_ bytes: [UInt8], depth: Int = 16) -> JSONError? {
        var parser = StrictJSON(maximumDepth: depth)
        do throws(JSONError) {
            try parser.parse(bytes.span)
            return nil
        } catch {
            return error
        }
    }

    @Test(.enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
    func theParsingSuite() throws {
        let files = try Vectors.files(in: "jsontestsuite/test_parsing")
        // A member twice is allowed by RFC 8259 and refused here: two readers could choose differently.
        let refusedAllTheSame = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]
        #expect(files.count == 318)
        for file in files {
            let result = error(try Vectors.read("jsontestsuite/test_parsing/\(file)"), depth: 1000)
            if file.hasPrefix("y_") {
                #expect((result == nil) != refusedAllTheSame.contains(file), "\(file): \(String(describing: result))")
            } else if file.hasPrefix("n_") {
                #expect(result != nil, "\(file)")
            }
        }
    }

    @Test(
        arguments: [
            ("{\"a\":1,\"a\":2}", JSONError.duplicateMember(at: 8)),
            ("{\"a\":1,\"\\u0061\":2}", .duplicateMember(at: 8)),
            ("{\"a\":{\"a\":1},\"b\":[{\"a\":1}]}", nil), ("1 2", .trailingData(at: 2)), ("", .malformed(at: 0)),
            ("\"\\ud800\"", .notUnicode(at: 1)), ("\"\\ud83d\\ude00\"", nil), ("[[[[]]]]", nil),
            ("[[[[[]]]]]", .tooDeep),
        ] as [(String, JSONError?)]
    )
    func theRulesOfTheHouse(_ text: String, _ expected: JSONError?) {
        #expect(error(Array(text.utf8), depth: 4) == expected)
    }

    /// Duplicates are found however many members there are, and whichever of them it is.
    @Test func duplicatesAmongMany() {
        let members = (0..<100).map { "\"m\($0)\":0" }
        #expect(error(Array("{\(members.joined(separator: ","))}".utf8)) == nil)
        for again in [0, 1, 23, 24, 25, 98, 99] {
            let text = "{\((members + ["\"m\(again)\":1"]).joined(separator: ","))}"
            guard case .duplicateMember = error(Array(text.utf8)) else {
                Issue.record("m\(again)")
                continue
            }
        }
    }

    @Test func aMutatedTextNeverTraps() {
        let text = Array(
            "{\"type\":\"publish\",\"data\":[1,-2.5e+3,true,null,\"\\u00e9\\ud83d\\ude00\",{\"a\":{}}],\"ref\":\"x\"}"
                .utf8
        )
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<20_000 {
            var bytes = text
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            bytes.removeLast(Int.random(in: 0...3, using: &generator))
            var parser = StrictJSON()
            guard (try? parser.parse(bytes.span)) != nil else {
                #expect(parser.nodes.isEmpty)
                continue
            }
            // What was taken is text that the standard library takes as well, and every node can be read.
            #expect(String(validating: bytes, as: UTF8.self) != nil)
            for node in parser.nodes.indices {
                _ = parser.string(node, in: bytes.span)
                _ = parser.number(node, in: bytes.span)
                _ = parser.json(node, in: bytes.span)
            }
        }
    }
}
