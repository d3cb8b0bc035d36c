// swift-tools-version: 6.2

import PackageDescription

let features: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

/// The data plane, and what it is made of. In a release build accesses are not checked at run time for being exclusive: 160 are made in a
/// handshake, and the checks are a twentieth of what it costs. None of them is held across a call that comes back to the same property:
/// closures that run inside the registry or the rooms only read these. The compiler checks what it can see as ever, and the builds in which
/// the tests, the sanitizers and the fuzzers run check all of it.
let hot = features + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

let package = Package(
    name: "portcullis",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "portcullis", targets: ["PortcullisCommand"]),
        .executable(name: "portcullis-bench", targets: ["PortcullisBench"]),
        .library(name: "PortcullisClient", targets: ["PortcullisClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C: module maps and shims only.
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        // No pkgConfig: hiredis' file carries a flag that every build would warn about; the module map links it.
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .target(name: "CLinux"),

        // Pure: values, machines, and bytes to values.
        .target(name: "PortcullisCore", swiftSettings: hot),
        .target(name: "PortcullisWire", dependencies: ["PortcullisCore"], swiftSettings: hot),

        // Owners of what is not pure.
        .target(name: "PortcullisCrypto", dependencies: ["COpenSSL"], swiftSettings: hot),
        .target(
            name: "PortcullisTokens",
            dependencies: ["PortcullisCore", "PortcullisWire", "PortcullisCrypto"],
            exclude: ["make-known-secrets.py"],
            swiftSettings: hot
        ),
        .target(name: "PortcullisReactor", dependencies: ["CLinux", "COpenSSL"], swiftSettings: hot),
        .target(
            name: "PortcullisRedis",
            dependencies: ["CHiredis", "PortcullisCore", "PortcullisCrypto", "PortcullisReactor", "PortcullisWire"],
            swiftSettings: hot
        ),

        // The two planes.
        .target(
            name: "PortcullisGate",
            dependencies: [
                "PortcullisCore", "PortcullisWire", "PortcullisCrypto", "PortcullisTokens", "PortcullisReactor",
                "PortcullisRedis",
            ],
            swiftSettings: hot
        ),
        .target(
            name: "PortcullisControl",
            dependencies: [
                "CLinux", "PortcullisCore", "PortcullisCrypto", "PortcullisGate", "PortcullisReactor",
                "PortcullisRedis",
                "PortcullisTokens", "PortcullisWire",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: features
        ),

        // What people run and embed.
        .target(
            name: "PortcullisClient",
            dependencies: [
                .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
            ],
            swiftSettings: features
        ),
        .executableTarget(
            name: "PortcullisCommand",
            dependencies: [
                "PortcullisClient", "PortcullisControl", "PortcullisCore", "PortcullisRedis", "PortcullisTokens",
                "PortcullisWire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: features
        ),
        .executableTarget(
            name: "PortcullisBench",
            dependencies: [
                "CLinux", "PortcullisCore", "PortcullisCrypto", "PortcullisGate", "PortcullisReactor",
                "PortcullisRedis", "PortcullisTokens",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            exclude: ["write-results"],
            swiftSettings: features
        ),
        .executableTarget(
            name: "PortcullisDemo",
            dependencies: ["CLinux", "PortcullisClient", "PortcullisControl", "PortcullisCore", "PortcullisRedis"],
            path: "demo",
            exclude: ["packages", "start"],
            swiftSettings: features
        ),

        // Tests: one folder a module, and what they share.
        .target(
            name: "TestKit",
            dependencies: ["PortcullisCore", "PortcullisReactor", "PortcullisRedis", "PortcullisWire"],
            path: "Tests/TestKit",
            swiftSettings: features
        ),
        .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
        .target(
            name: "Simulation",
            dependencies: ["PortcullisCore", "TestKit"],
            path: "Tests/Simulation",
            // Thousands of worlds are run in every build, also in one for debugging.
            swiftSettings: features + [.unsafeFlags(["-O"])]
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "CLinux", "PortcullisCore", "PortcullisGate", "PortcullisReactor", "PortcullisRedis",
                "PortcullisTokens",
                "PortcullisWire", "TestKit",
            ],
            path: "Tests/Integration",
            exclude: [
                "allocation_meter.c", "outside.py", "outside_kit.py", "outside_limits.py", "outside_live.py",
                "outside_sessions.py",
                "outside_settings.py", "outside_tokens.py", "outside_wsproto.py",
            ],
            swiftSettings: features
        ),
        .testTarget(name: "SimulationTests", dependencies: ["Simulation"], swiftSettings: features),
        .testTarget(name: "PortcullisCoreTests", dependencies: ["PortcullisCore", "TestKit"], swiftSettings: features),
        .testTarget(
            name: "PortcullisWireTests",
            dependencies: ["PortcullisCore", "PortcullisWire", "TestKit"],
            swiftSettings: features
        ),
        .testTarget(
            name: "PortcullisTokensTests",
            dependencies: [
                "AllocationCounter", "PortcullisCore", "PortcullisWire", "PortcullisCrypto", "PortcullisTokens",
                "TestKit",
            ],
            swiftSettings: features
        ),
        .testTarget(
            name: "PortcullisReactorTests",
            dependencies: ["PortcullisReactor", "TestKit"],
            swiftSettings: features
        ),
        .testTarget(
            name: "PortcullisRedisTests",
            dependencies: ["PortcullisCore", "PortcullisCrypto", "PortcullisRedis", "PortcullisWire", "TestKit"],
            swiftSettings: features
        ),
        .testTarget(
            name: "PortcullisGateTests",
            dependencies: [
                "PortcullisCore", "PortcullisCrypto", "PortcullisGate", "PortcullisReactor", "PortcullisRedis",
                "PortcullisTokens", "PortcullisWire", "TestKit",
            ],
            swiftSettings: features
        ),
        .testTarget(
            name: "PortcullisControlTests",
            dependencies: [
                "CLinux", "PortcullisControl", "PortcullisCore", "PortcullisCrypto", "PortcullisGate",
                "PortcullisRedis", "PortcullisTokens", "PortcullisWire", "TestKit",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: features
        ),
        .testTarget(
            name: "PortcullisClientTests",
            dependencies: [
                "PortcullisClient", "PortcullisControl", "PortcullisCore", "PortcullisGate", "PortcullisRedis",
                "PortcullisTokens", "TestKit",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
            ],
            swiftSettings: features
        ),
    ],
    swiftLanguageModes: [.v6]
)
