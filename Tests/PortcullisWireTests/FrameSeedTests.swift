import PortcullisCore
import PortcullisWire
import TestKit
import Testing

/// What fuzzing another implementation found worth keeping.
@Suite(.enabled(if: Vectors.areHere, Comment(rawValue: Vectors.whyNot)))
struct FrameSeedTests {
    @Test(arguments: [("read_message_server", 244), ("read_message_client", 564), ("parse_frame_header", 15)])
    func aSeedSaysTheSameHoweverItIsCut(_ folder: String, _ count: Int) throws {
        let files = try Vectors.files(in: "tungstenite/seeds/\(folder)")
        #expect(files.count == count)
        var generator = SeededGenerator(seed: 3)
        for file in files {
            let bytes = try Vectors.read("tungstenite/seeds/\(folder)/\(file)")
            for role in [FrameReaderRole.server, .client] {
                let reader = FrameReader(role, limits: MessageLimits(bytes: 4096, fragments: 16, emptyContinuations: 4))
                let whole = steps(bytes, reader)
                for _ in 0..<4 {
                    if steps(cut(bytes, using: &generator), reader).steps != whole { Issue.record("\(file)") }
                }
                // No more is handed out than has come.
                let payload = whole.reduce(0) { $0 + $1.payloadCount }
                #expect(payload <= bytes.count)
            }
        }
    }
}

extension FrameStep {
    var payloadCount: Int {
        switch self {
        case .message(_, let payload), .ping(let payload), .pong(let payload): payload.count
        case .close(_, let reason): reason.count
        case .needMore, .failed: 0
        }
    }
}
