# As edge.tftest.hcl, for what is inside: objects, instances, secrets, logs, and the roles of CI.

mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias  = "replica"
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias  = "global"
  source = "./tests/mocks"
}

run "storage" {
  command = apply

  assert {
    condition = alltrue([
      for block in concat(values(aws_s3_bucket_public_access_block.this), [aws_s3_bucket_public_access_block.replica]) :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ])
    error_message = "S3 is private: no bucket can be made public"
  }

  assert {
    condition = [
      for statement in jsondecode(aws_s3_bucket_policy.images.policy).Statement : statement.Principal.Service
      if statement.Effect == "Allow"
    ] == ["cloudfront.amazonaws.com"]
    error_message = "S3 bucket policy: CloudFront alone may read, and nothing else is allowed"
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_s3_bucket_policy.images.policy).Statement :
      statement.Action == "s3:GetObject" && statement.Condition.StringEquals["aws:SourceArn"] == aws_cloudfront_distribution.images.arn
      if statement.Effect == "Allow"
    ])
    error_message = "S3 bucket policy: CloudFront reads for our distribution only"
  }

  assert {
    condition = alltrue([
      for policy in [aws_s3_bucket_policy.images.policy, aws_s3_bucket_policy.logs.policy, aws_s3_bucket_policy.replica.policy] :
      anytrue([
        for statement in jsondecode(policy).Statement :
        statement.Effect == "Deny" && statement.Action == "s3:*" && try(statement.Condition.Bool["aws:SecureTransport"], "") == "false"
      ])
    ])
    error_message = "S3: requests without TLS are refused"
  }

  assert {
    condition     = one(aws_cloudfront_distribution.images.origin).origin_access_control_id == aws_cloudfront_origin_access_control.images.id && aws_cloudfront_origin_access_control.images.signing_behavior == "always"
    error_message = "CloudFront OAC: every request to the bucket is signed"
  }

  assert {
    condition = alltrue([
      for encryption in [aws_s3_bucket_server_side_encryption_configuration.images, aws_s3_bucket_server_side_encryption_configuration.replica] :
      one(one(encryption.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    ])
    error_message = "S3 encryption: images are encrypted with our keys, in both regions"
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.logs.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "S3 encryption: logs are encrypted"
  }

  assert {
    condition = alltrue([
      for versioning in concat(values(aws_s3_bucket_versioning.this), [aws_s3_bucket_versioning.replica]) :
      versioning.versioning_configuration[0].status == "Enabled"
    ])
    error_message = "S3 versioning: an overwritten or deleted object comes back"
  }

  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.images.rule : one([for each in rule.transition : each.days if each.storage_class == "STANDARD_IA"])]) == 90
    error_message = "S3 lifecycle: images are infrequent access after 90 days"
  }

  assert {
    condition     = aws_s3_bucket_replication_configuration.images.rule[0].status == "Enabled" && aws_s3_bucket_replication_configuration.images.rule[0].destination[0].bucket == aws_s3_bucket.replica.arn && var.replica_region != var.region
    error_message = "S3 replication: each image has a copy in another region"
  }

  assert {
    condition     = alltrue([for controls in aws_s3_bucket_ownership_controls.this : controls.rule[0].object_ownership == "BucketOwnerEnforced"])
    error_message = "S3: access lists are off"
  }
}

run "instances" {
  command = apply

  assert {
    condition     = alltrue([for group in aws_autoscaling_group.app : group.vpc_zone_identifier == toset([aws_subnet.this["app-0"].id, aws_subnet.this["app-1"].id])])
    error_message = "Private subnets: instances are there, in both zones"
  }

  assert {
    condition     = aws_autoscaling_group.app["blue"].min_size == 2 && aws_autoscaling_group.app["blue"].health_check_type == "ELB"
    error_message = "High availability: two instances at least, replaced when unhealthy"
  }

  assert {
    condition     = alltrue([for template in concat(values(aws_launch_template.app), [aws_launch_template.operations]) : template.key_name == null])
    error_message = "SSM instead of SSH: instances have no key"
  }

  assert {
    condition     = alltrue([for role in ["app", "operations"] : endswith(aws_iam_role_policy_attachment.host["${role}-AmazonSSMManagedInstanceCore"].policy_arn, "AmazonSSMManagedInstanceCore")])
    error_message = "SSM instead of SSH: operators come by SSM's sessions"
  }

  assert {
    condition     = alltrue([for template in concat(values(aws_launch_template.app), [aws_launch_template.operations]) : template.metadata_options[0].http_tokens == "required" && template.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "Instances: the role's credentials need a token (IMDSv2) and stay on the host"
  }

  assert {
    condition     = alltrue([for template in concat(values(aws_launch_template.app), [aws_launch_template.operations]) : template.block_device_mappings[0].ebs[0].encrypted == "true"])
    error_message = "Instances: disks are encrypted"
  }

  assert {
    condition     = alltrue([for template in concat(values(aws_launch_template.app), [aws_launch_template.operations]) : template.network_interfaces[0].associate_public_ip_address == "false"])
    error_message = "Instances: none has a public address"
  }

  assert {
    condition     = alltrue([for template in concat(values(aws_launch_template.app), [aws_launch_template.operations]) : length(base64decode(template.user_data)) < 16384])
    error_message = "Instances: AWS takes 16 KB of user data"
  }

  assert {
    condition = alltrue([
      for template in values(aws_launch_template.app) :
      strcontains(base64decode(template.user_data), "--read-only") && strcontains(base64decode(template.user_data), "--cap-drop all")
      && strcontains(base64decode(template.user_data), "ENVIRONMENT=production")
    ])
    error_message = "Containers: read-only, without capabilities, with production's settings"
  }
}

run "secrets" {
  command = apply

  assert {
    condition     = aws_secretsmanager_secret.settings.kms_key_id == aws_kms_key.this.arn && aws_secretsmanager_secret.settings.recovery_window_in_days == 30
    error_message = "Environment variables (secrets): they are in Secrets Manager, encrypted, and can be brought back"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.replica.enable_key_rotation
    error_message = "Keys rotate every year"
  }

  assert {
    condition = alltrue([
      for template in concat(values(aws_launch_template.app), [aws_launch_template.operations]) :
      !strcontains(base64decode(template.user_data), "JWT_SECRET=") && !strcontains(base64decode(template.user_data), "TokenOfTheTests")
    ])
    error_message = "Secrets: none is in the user data of an instance"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.host["app"].policy).Statement :
      statement.Resource != "*" || statement.Action == "ecr:GetAuthorizationToken"
    ])
    error_message = "Least privilege: an instance may use named resources only"
  }

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.this : group.kms_key_id == aws_kms_key.this.arn && group.retention_in_days == 365])
    error_message = "Logs are encrypted, and kept for a year"
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.above), [aws_cloudwatch_metric_alarm.disk, aws_cloudwatch_metric_alarm.operations]) : length(alarm.alarm_actions) == 1])
    error_message = "Monitoring: every alarm reaches the operators"
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == aws_kms_key.this.arn
    error_message = "Monitoring: alarms are encrypted on their way"
  }
}

run "ci" {
  command = apply

  assert {
    condition = jsondecode(aws_iam_role.ci["release"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == [
      "repo:example/course-enrollment:environment:production"
    ]
    error_message = "GitHub OIDC: releases come from the approved environment only"
  }

  assert {
    condition = alltrue(flatten([
      for role in aws_iam_role.ci : [
        for subject in jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] :
        startswith(subject, "repo:example/course-enrollment:") && !strcontains(subject, "*")
      ]
    ]))
    error_message = "GitHub OIDC: no wildcard, no other repository"
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_role_policy.ci["release"].policy).Statement : !contains(flatten([statement.Action]), "ssm:*") && (statement.Sid != "ReleaseDocument" || statement.Resource == aws_ssm_document.release.arn)])
    error_message = "GitHub OIDC: a release may run one document, on the operations host"
  }

  assert {
    condition     = contains(flatten([for statement in jsondecode(aws_iam_role_policy.ci["plan"].policy).Statement : statement.Action if statement.Effect == "Deny"]), "secretsmanager:GetSecretValue")
    error_message = "GitHub OIDC: a plan reads no secret"
  }

  assert {
    condition     = jsondecode(aws_ssm_document.release.content).parameters.Digest.allowedPattern == "^sha256:[0-9a-f]{64}$"
    error_message = "Releases: the host takes a digest and no other text"
  }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "Images of the service: tags never move, and each is scanned"
  }
}

run "cors_has_specific_origins" {
  command = plan

  variables {
    cors_origins = ["*"]
  }

  expect_failures = [var.cors_origins]
}

run "redis_passwords_are_long" {
  command = plan

  variables {
    redis_auth_tokens = { cache = "short", broker = "brokerTokenOfTheTests" }
  }

  expect_failures = [var.redis_auth_tokens]
}
