# User-data as ./invoke plan shows it without an account: the stack's own rendering, where whatever
# only AWS can name is a word in brackets. Values that are checked for their form have one.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "(account)" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }

  mock_data "aws_availability_zones" {
    defaults = { names = ["a", "b", "c"] }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::000000000000:instance-profile/x" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::000000000000:role/x" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:::x", url = "(queue)" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-00000000000000000", latest_version = 1 }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:::x" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::x", id = "(bucket)" }
  }

  mock_resource "aws_ebs_volume" {
    defaults = { id = "(volume)" }
  }

  mock_resource "aws_efs_file_system" {
    defaults = { arn = "arn:aws:elasticfilesystem:::x", id = "(file system)" }
  }

  mock_resource "aws_efs_access_point" {
    defaults = { id = "(access point)" }
  }
}

variables {
  images = { node = "ami-00000000000000000", chef_server = "ami-00000000000000000" }
}

run "user_data" {
}
