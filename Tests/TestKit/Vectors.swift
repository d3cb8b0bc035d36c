public import Foundation

/// The public test vectors: a folder beside the project that is never copied into it.
public enum Vectors {
    /// `$PORTCULLIS_VECTORS`, else `../shared/vectors` beside the checkout; nil where there is none.
    public static let folder: URL? = {
        let environment = ProcessInfo.processInfo.environment["PORTCULLIS_VECTORS"]
        let beside = URL(filePath: #filePath).appending(path: "../../../../shared/vectors").standardizedFileURL
        let folder = environment.map { URL(filePath: $0) } ?? beside
        return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
    }()

    /// Whether the vectors are there: the condition of a test that needs them.
    public static var areHere: Bool {
        folder != nil
    }

    /// Why a test that needs them is skipped.
    public static let whyNot = "the public test vectors are not here: set PORTCULLIS_VECTORS to their folder"

    /// The bytes of one file, by its path below the folder.
    public static func read(_ path: String) throws -> [UInt8] {
        guard let folder else { throw CocoaError(.fileNoSuchFile) }
        return [UInt8](try Data(contentsOf: folder.appending(path: path)))
    }

    /// The names of the files in a folder, in order.
    public static func files(in path: String) throws -> [String] {
        guard let folder else { throw CocoaError(.fileNoSuchFile) }
        return try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: path).path).sorted()
    }
}
