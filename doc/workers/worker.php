#!/usr/bin/php
<?php
// SPDX-License-Identifier: MIT
// A worker for amqp-execd in PHP: worker.php FOLDER stores the body of each message in FOLDER, in a file that is named by its SHA-256
// checksum, and rejects empty ones. The protocol is described in amqp-execd(8), section WORKERS.

// Only answers go to stdout: what PHP complains about goes to stderr, and so does what is printed with echo.
ini_set('display_errors', 'stderr');
ob_start(function (string $text): string {
    fwrite(STDERR, $text);
    return '';
}, 1);

// Does the work, and returns the answer.
function handle(string $folder, array $metadata, string $body): string
{
    if ($body === '') {
        return 'reject the body is empty';
    }
    $new = "$folder/." . getmypid();
    if (file_put_contents($new, $body) !== strlen($body) || !rename($new, "$folder/" . hash('sha256', $body))) {
        fwrite(STDERR, "message {$metadata['properties']['message_id']} of {$metadata['queue']} cannot be stored\n");
        return 'retry 60';
    }
    return 'ack';
}

// fread gives what is there, up to 8 KiB of it.
function read_body(int $size): string
{
    $body = '';
    while (strlen($body) < $size) {
        $piece = fread(STDIN, $size - strlen($body));
        if ($piece === false || $piece === '') {
            exit(1); // the daemon has gone
        }
        $body .= $piece;
    }
    return $body;
}

while (($line = fgets(STDIN)) !== false) {
    $metadata = json_decode($line, true);
    $body = read_body($metadata['body_size']);
    fwrite(STDOUT, handle($argv[1], $metadata, $body) . "\n");
}
