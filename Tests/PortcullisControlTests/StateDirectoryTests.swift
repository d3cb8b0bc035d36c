import Foundation
import Testing

@testable import PortcullisControl

@Suite struct StateDirectoryTests {
    @Test(
        arguments: [
            ("/x/", ["XDG_STATE_HOME": "/s", "HOME": "/h"], "/x"),
            (nil, ["XDG_STATE_HOME": "/s", "HOME": "/h"], "/s/portcullis"),
            (nil, ["XDG_STATE_HOME": "relative", "HOME": "/h"], "/h/.local/state/portcullis"),
            ("", ["HOME": "/h"], "/h/.local/state/portcullis"),
        ] as [(String?, [String: String], String)]
    )
    func theFolderIsFound(configured: String?, environment: [String: String], path: String) throws {
        #expect(try StateDirectory.locate(configured: configured, environment: environment).path == path)
    }

    @Test func withoutAHomeThereIsASentence() {
        let error = #expect(throws: StartupError.self) { try StateDirectory.locate(configured: nil, environment: [:]) }
        #expect(error?.description == "There is no folder for the gate's state: set state_dir, or the variable HOME.")
    }

    @Test func aRelativePathIsTakenFromTheWorkingDirectory() throws {
        let path = try StateDirectory.locate(configured: "state", environment: [:]).path
        #expect(path == FileManager.default.currentDirectoryPath + "/state")
    }

    @Test func itIsMadeForItsOwnerAlone() throws {
        let folder = try TemporaryFolder()
        let state = StateDirectory(path: folder.path + "/a/b/c")
        try state.prepare()
        #expect(try folder.permissions(state.path) == 0o700)
        #expect(try folder.permissions(folder.path + "/a") == 0o700)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: state.path)
        try state.prepare()
        #expect(try folder.permissions(state.path) == 0o700)
    }

    @Test func whatCannotBeUsedIsNamed() throws {
        let folder = try TemporaryFolder()
        let file = folder.path + "/file"
        try Data().write(to: URL(filePath: file))
        let inFile = #expect(throws: StartupError.self) { try StateDirectory(path: file).prepare() }
        #expect(inFile?.description == "The folder \(file) cannot be used (not a directory): choose another state_dir.")

        let long = StateDirectory(path: folder.path + "/" + String(repeating: "a", count: 100))
        let error = #expect(throws: StartupError.self) { try long.prepare() }
        #expect(error?.description.contains("has more than the 107 bytes a socket's may have") == true)
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give a folder away"))
    func whatBelongsToSomebodyElseIsRefused() throws {
        let folder = try TemporaryFolder()
        #expect(chown(folder.path, 12_345, 12_345) == 0)
        let error = #expect(throws: StartupError.self) { try StateDirectory(path: folder.path).prepare() }
        #expect(error?.description == "The folder \(folder.path) belongs to another user: choose another state_dir.")
    }

    @Test func onlyOneHasTheLock() throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        var first = try folder.state.acquireLock()
        #expect(first != nil)
        #expect(try folder.state.acquireLock() == nil)
        first = nil
        #expect(try folder.state.acquireLock() != nil)
    }
}

@Suite struct StoredSecretTests {
    private static let random: @Sendable () -> [UInt8] = { Array(0..<32) }

    @Test func aSecretIsMadeOnceAndKept() throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        let made = try folder.state.secret(random: Self.random)
        #expect(made.isNew)
        #expect(made.bytes.count == 64)
        #expect(made.bytes.starts(with: Array("00010203".utf8)))
        #expect(try folder.permissions(folder.state.secret) == 0o600)
        #expect(
            try String(contentsOfFile: folder.state.secret, encoding: .utf8).utf8.elementsEqual(made.bytes + [0x0A])
        )

        let found = try folder.state.secret { Array(repeating: 9, count: 32) }
        #expect(!found.isNew)
        #expect(found.bytes == made.bytes)
        #expect(!"\(found)\(String(reflecting: found))".contains("48"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.state.path) == ["secret"])
    }

    @Test func aSecretThatOthersMayReadIsRefused() throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        _ = try folder.state.secret(random: Self.random)
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: folder.state.secret)
        let error = #expect(throws: StartupError.self) { try folder.state.secret(random: Self.random) }
        #expect(error?.description.contains("run chmod 600 on it") == true)
    }

    @Test func anEmptyOrStrangeFileIsRefused() throws {
        let folder = try TemporaryFolder()
        try folder.state.prepare()
        try FileManager.default.createSymbolicLink(atPath: folder.state.secret, withDestinationPath: "/dev/zero")
        #expect(throws: StartupError.self) { try folder.state.secret(random: Self.random) }
        try FileManager.default.removeItem(atPath: folder.state.secret)
        try Data().write(to: URL(filePath: folder.state.secret))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder.state.secret)
        #expect(throws: StartupError.self) { try folder.state.secret(random: Self.random) }
    }
}

@Suite struct ListenProbeTests {
    @Test func aFreePortIsFree() throws {
        try ListenAddress.tcp(host: "127.0.0.1", port: 0).probe(for: "listen")
        try ListenAddress.tcp(host: "localhost", port: 0).probe(for: "listen")
    }

    @Test func aPortInUseIsNamed() throws {
        let (socket, port) = try Self.listener()
        defer { close(socket) }
        let address = ListenAddress.tcp(host: "127.0.0.1", port: port)
        let error = #expect(throws: StartupError.self) { try address.probe(for: "listen") }
        let expected =
            "127.0.0.1:\(port) is in use by another program: stop that one, or set listen to another address."
        #expect(error?.description == expected)
    }

    @Test func anAddressOfAnotherMachineIsNamed() {
        let error = #expect(throws: StartupError.self) {
            try ListenAddress.tcp(host: "192.0.2.1", port: 8080).probe(for: "admin")
        }
        #expect(error?.description == "192.0.2.1:8080 is not an address of this machine: set admin to one.")
    }

    @Test func aSocketIsFreeUnlessSomebodyAnswers() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        let address = ListenAddress.unix(path: path)
        try address.probe(for: "admin")

        let socket = try #require(Self.unixListener(path))
        let inUse = #expect(throws: StartupError.self) { try address.probe(for: "admin") }
        #expect(inUse?.description.hasPrefix("unix:\(path) is in use by another program: ") == true)
        close(socket)
        try address.probe(for: "admin")

        try FileManager.default.removeItem(atPath: path)
        try Data().write(to: URL(filePath: path))
        let noSocket = #expect(throws: StartupError.self) { try address.probe(for: "admin") }
        #expect(noSocket?.description.contains("is there and is no socket") == true)
        let nowhere = #expect(throws: StartupError.self) {
            try ListenAddress.unix(path: "/nowhere/s").probe(for: "admin")
        }
        #expect(nowhere?.description.contains("/nowhere is not a folder") == true)
    }

    private static func unixListener(_ path: String) -> Int32? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let bound = UnixSocket.withAddress(path) { address, length in bind(descriptor, address, length) }
        return bound == 0 && listen(descriptor, 1) == 0 ? descriptor : nil
    }

    private static func listener() throws -> (Int32, UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = bind(descriptor, address, length)
                _ = getsockname(descriptor, address, &length)
            }
        }
        try #require(listen(descriptor, 1) == 0)
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }
}
